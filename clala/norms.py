"""Batch normalisation over the rows of all processes, so that one process with the whole batch sees the same mean and variance.

On GPUs this is torch's own SyncBatchNorm. It knows no CPU, where two processes are how the whole is tested: there the few lines below do the same.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def share_norms(module: nn.Module, accelerator: Any) -> None:
    """Let every batch norm within ``module`` look at the rows of all processes from now on; with one process nothing changes.

    Weights keep their names and their places. Called before the network is prepared.
    """
    if accelerator.num_processes == 1:
        return
    if accelerator.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = SharedBatchNorm2d  # the same weights and buffers, counted over more rows


class SharedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d whose training statistics are those of all processes' rows."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's own name for it
        """(B, C, H, W) -> the same shape."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        x = input.float() if input.element_size() < 4 else input
        number = _sum(x.new_tensor(float(x.numel() // x.shape[1])))
        mean = _sum(x.sum((0, 2, 3))) / number
        away = x - mean[:, None, None]
        variance = _sum(away.square().sum((0, 2, 3))) / number
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * number / (number - 1), self.momentum)  # torch keeps the unbiased one
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (away * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)


def _sum(own: Tensor) -> Tensor:
    """Over all processes, with the gradient that every one of them has in it; without others, ``own`` itself."""
    whole: Tensor = _Sum.apply(own) if dist.is_available() and dist.is_initialized() else own
    return whole


class _Sum(torch.autograd.Function):
    """Forth and back alike: what each process puts in reaches all, so what all lose by it reaches each."""

    @staticmethod
    def forward(context: Any, own: Tensor) -> Tensor:
        whole = own.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        whole = gradient.clone()
        dist.all_reduce(whole)
        return whole
