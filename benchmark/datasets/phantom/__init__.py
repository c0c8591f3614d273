"""The embedded default dataset: chest X-ray phantoms with known anatomy, known lesions and reports, in the files of the real thing."""

from benchmark.datasets.phantom.dataset import Phantom
from benchmark.datasets.phantom.write import default_folder, generate

__all__ = ["Phantom", "default_folder", "generate"]
