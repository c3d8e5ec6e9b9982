"""ICL (Schmidt and Peters, 2023): scenes that are recognised whatever device recorded them."""
