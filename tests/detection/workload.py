"""Two epochs of detector training as a process of its own, alone or on several workers."""

import argparse
import dataclasses
from pathlib import Path

import torch

from compressor.base import distributed
from compressor.tasks.recipe import Recipe
from compressor.training import fine_tune, init_from_env
from compressor.zoo import find
from detection.task import DETECTION

SMALL = {
    "rpn_post_nms_top_n_test": 20, "rpn_post_nms_top_n_train": 20, "rpn_pre_nms_top_n_train": 60,
    "box_batch_size_per_image": 16, "box_detections_per_img": 5, "num_classes": 3,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--coco", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--accumulate", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arch = find("fasterrcnn_mobilenet_v3_large_fpn").with_options(SMALL, ((3, 64, 96),))
    model = arch.build()
    recipe = Recipe(epochs=2, batch_size=2, accumulate=arguments.accumulate, lr=0.005, nesterov=False)
    with init_from_env(torch.device("cpu")) as device:
        data = DETECTION.data.open(f"coco:{arguments.coco}", arch.input, model)
        result = fine_tune(model, data, recipe, device=device)
        score = DETECTION.scoring.score(model, data.test, device=device)
        if distributed.rank() == 0:
            found = {
                "losses": [record.train_loss for record in result.history],
                "qualities": [record.val_quality for record in result.history],
                "score": dataclasses.asdict(score),
                "world": distributed.world(),
            }
            torch.save(found, arguments.out)


if __name__ == "__main__":
    main()
