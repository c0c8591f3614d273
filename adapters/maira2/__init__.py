"""MAIRA-2 (Bannur et al., 2024): findings, with boxes if asked, from all images and texts of a study and its prior."""
