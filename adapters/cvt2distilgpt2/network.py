"""CvT2DistilGPT2 as a whole: images to the words of a report.

Nicolson, Dowling, Koopman, Improving chest X-ray report generation by leveraging warm starting, Artificial Intelligence in Medicine 2023
(https://doi.org/10.1016/j.artmed.2023.102633, code https://github.com/aehrc/cvt2distilgpt2, GPL-3.0). Written anew from the paper, from the names and
shapes of the published tensors, and from what the published program answers; none of it is taken over.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adapters.beam_search import Found, Kept, beam_search
from adapters.cvt2distilgpt2.decoder import Decoder
from adapters.cvt2distilgpt2.encoder import Encoder
from adapters.cvt2distilgpt2.sizes import Sizes

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of red, green, blue in [0, 1]


class Network(nn.Module):
    """128.0 million weights at the published sizes, with the classifier of the encoder that nobody uses."""

    def __init__(self, sizes: Sizes, *, dropout: float = 0.0) -> None:
        """``dropout`` is for training."""
        super().__init__()
        self.sizes = sizes
        self.encoder = Encoder(sizes)
        self.projection = nn.Linear(sizes.stage_widths[-1], sizes.width, bias=False)
        self.decoder = Decoder(sizes, dropout=dropout)

    def see(self, images: Tensor) -> Tensor:
        """Look at the images of each case.

        images   (B, N, S, S) uint8 grey, N views of each case
        returns  (B, N * P, D)      the places of the views one after the other
        """
        count = images.shape[1]
        seen: Tensor = self.projection(self.encoder(normalised(images.flatten(0, 1))))
        return seen.view(len(images), count * seen.shape[1], seen.shape[2])

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        """Score the word after each word: (B, N, S, S) uint8 and (B, T) -> (B, T, V)."""
        scores: Tensor = self.decoder(tokens, self.see(images))
        return scores

    @torch.inference_mode()
    def write(self, images: Tensor, *, start: int, end: int, beams: int = 4, max_length: int = 128) -> list[Found]:
        """Tokens of a report for each case, start and end not among them.

        images      (B, N, S, S) uint8
        max_length  tokens, the start among them
        """
        memory = self.decoder.look(self.see(images))

        def step(tokens: Tensor, kept: Kept | None) -> Tensor:
            nonlocal memory
            if kept is not None:
                memory = memory.kept(kept.rows, kept.images)
            scores, memory = self.decoder.step(tokens, memory)
            return scores.float().log_softmax(-1)

        steps, device = max_length - 1, images.device
        return beam_search(step, len(images), policy="attainable", beams=beams, steps=steps, start=start, end=end, device=device)


def normalised(grey: Tensor) -> Tensor:
    """(B, S, S) uint8 -> (B, 3, S, S), as the encoder was trained to see it: grey in three colours, each with its own mean."""
    shares = grey[:, None].float() / 255
    return (shares - shares.new_tensor(MEAN)[:, None, None]) / shares.new_tensor(DEVIATION)[:, None, None]
