from __future__ import annotations

import autodiff as ad
from autodiff import nn
from autodiff.program import Program


def program() -> Program:
    """A small convolutional net, forward, on channels-last images."""
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, 3),
    )
    images = ad.zeros(2, 3, 8, 8).contiguous(memory_format=ad.channels_last)
    images.name = "images"
    return ad.record(model, images)
