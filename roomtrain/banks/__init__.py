"""Banks: the audio of some samples of a dataset beside their rows of the manifest, read by index.

All kinds have one interface, :class:`Rows`, and :func:`open_bank` opens the kind that the settings name:

===========  ===========================  ==================================================================================
``bank``     :class:`Bank`                a tensor in the memory of a device: the quickest, for what fits
``mapped``   :class:`MappedBank`          a file that the machine's processes map together, for what does not fit
``build``                                 making that file, once per machine
``halves``                                float16 with a scale for each sample: half the file, and a decay stays faithful
``source``                                which samples a bank holds, and the reading of shards by threads
``memory``                                how much a bank takes, and how much is free
``opening``  :func:`load_bank`, …         a dataset's samples as a bank of one kind or the other
===========  ===========================  ==================================================================================

A third kind, a stream over shards that lie elsewhere, belongs beside ``bank`` and ``mapped``, with the same ``rows``.
"""

from roomtrain.banks.bank import Bank, Rows
from roomtrain.banks.mapped import MappedBank
from roomtrain.banks.opening import Kind, load_bank, map_bank, open_bank

__all__ = ["Bank", "Kind", "MappedBank", "Rows", "load_bank", "map_bank", "open_bank"]
