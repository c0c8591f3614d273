"""CheXbert (Smit et al., EMNLP 2020) as a labeller of the benchmark: reports to 14 CheXpert observations, and those to the 14 lesions."""
