"""Götz, Tuna, Walther, Habets: Contrastive representation learning for acoustic parameter estimation (ICASSP 2023)."""
