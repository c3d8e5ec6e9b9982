"""roomtrain: trains the models of five room-acoustics papers on data sets that roomgen made."""
