"""The study of open-vocabulary localization: shipped models on the small world's clips, by groups of eight.

Nothing is trained but what `core` trains live, and the other ways of finding objects that Tables 1 and 2 compare, which
stand in `rivals`.
"""

from __future__ import annotations

from dataclasses import replace

from minilib.papers.open_vocabulary import blocks, live, proposals
from minilib.papers.open_vocabulary.blocks import BLOCKS
from minilib.papers.open_vocabulary.costs import record_costs
from minilib.papers.open_vocabulary.decoder import BroadcastDecoder
from minilib.papers.open_vocabulary.fresh import CONTROLS, Fresh
from minilib.papers.open_vocabulary.joint import RELEASED
from minilib.papers.open_vocabulary.naming import Vocabulary, fitting, mean
from minilib.papers.open_vocabulary.pipelines import (
    AS_RELEASED,
    OURS,
    TEXT,
    Oracle,
    Pipeline,
    Shipped,
    eq_alone,
    next_shape,
    third_shape,
    vanilla,
)
from minilib.papers.open_vocabulary.readings import READINGS
from minilib.papers.open_vocabulary.rivals.study import CROPS, RECIPE, TRAINED
from minilib.papers.open_vocabulary.rivals.study import TABLES as OF_RIVALS
from minilib.papers.open_vocabulary.small import WORLD, sentences
from minilib.study import Row, Study
from minilib.training import TrainSettings
from minilib.world.vocabulary import COLOURS, GROUNDS, PLACES, SHAPES, SIZES, TEXTURES

CORE = TrainSettings(steps=300, batch=8, lr=2e-3, weight_decay=0.0)

# --- variants --------------------------------------------------------------------------------------------------------

OUR_WAY = Pipeline(shares=True)
ONE_BY_ONE = replace(OUR_WAY, rules=None)
BESIDE = {  # more names to choose from, of what is no shape; their sentences differ, so the mean of each counts
    8: (),
    12: GROUNDS,
    24: GROUNDS + COLOURS + TEXTURES,
    35: GROUNDS + COLOURS + TEXTURES + SIZES + PLACES,
}
LAMBDAS = {"none": -1.0, "0.4": 0.4, "0.5": 0.5, "0.6": 0.6}
VARIANTS = {
    "oracle": Oracle(),
    "ours": OUR_WAY,
    "apart": ONE_BY_ONE,
    "ours_vanilla": replace(OUR_WAY, reader=vanilla),
    "apart_vanilla": replace(ONE_BY_ONE, reader=vanilla),
    "ours_eq_alone": replace(OUR_WAY, reader=eq_alone),
    "apart_eq_alone": replace(ONE_BY_ONE, reader=eq_alone),
    "text": replace(OUR_WAY, vocabulary=WORLD, rules=TEXT),
    "text_apart": replace(ONE_BY_ONE, vocabulary=WORLD),
    "text_vanilla": replace(OUR_WAY, vocabulary=WORLD, rules=TEXT, reader=vanilla),
    "text_vanilla_apart": replace(ONE_BY_ONE, vocabulary=WORLD, reader=vanilla),
    "released": replace(OUR_WAY, vocabulary=WORLD, rules=AS_RELEASED),
    "ours_all_neighbours": replace(OUR_WAY, rules=replace(OURS, offsets=RELEASED)),
    "ours_all_kept": replace(OUR_WAY, rules=replace(OURS, content=False)),
    "ours_any_likeness": replace(OUR_WAY, rules=replace(OURS, likeness=None)),
    "held_out": Pipeline(combinations="held_out"),
    **{f"control/{each.__name__}": Pipeline(each) for each in proposals.CONTROLS},
    **{f"control/{each.__name__}_apart": Pipeline(each, rules=None) for each in proposals.CONTROLS},
    "control/of_next": Pipeline(proposals.of_next, shares=True),
    "control/of_second_next": Pipeline(proposals.of_second_next, shares=True),
    "control/next_words": Pipeline(vocabulary=Vocabulary(SHAPES, (), next_shape, fitting)),
    "control/third_words": Pipeline(vocabulary=Vocabulary(SHAPES, (), third_shape, fitting)),
    **{
        f"vocabulary/{count}": Pipeline(vocabulary=Vocabulary(SHAPES, names, sentences, mean))
        for count, names in BESIDE.items()
    },
    **{f"lambda/{name}": Pipeline(rules=replace(OURS, threshold=value)) for name, value in LAMBDAS.items()},
    "live/pixels": live.LiveSlots(live.pixels),
    "live/features": live.LiveSlots(live.features),
    "live/features_released": live.LiveSlots(live.features, decoder=BroadcastDecoder),
    **CROPS,
    **TRAINED,
}
LIVE = tuple(name for name in VARIANTS if name.startswith("live/"))
JUDGED = (  # what the claims compare, once more on fresh groups
    *("oracle", "ours", "apart", "ours_vanilla", "apart_vanilla", "ours_eq_alone", "apart_eq_alone"),
    *("text", "text_apart"),
    *("text_vanilla", "text_vanilla_apart"),
    *("ours_all_kept", "ours_any_likeness", "held_out", "vocabulary/8", "vocabulary/35", "lambda/none", "lambda/0.5"),
    *("control/grid_of_boxes", "control/central_boxes", "control/slots_as_they_start"),
    *("control/feature_clusters", "control/feature_clusters_apart", "control/random_encoder_clusters_apart"),
    *("crops", "crops_apart", "crops_painted_apart"),
)
VARIANTS |= {f"fresh/{name}": Fresh(VARIANTS[name]) for name in JUDGED}
VARIANTS |= {f"fresh/{name}": Fresh(other) for name, other in (CONTROLS | READINGS).items()}
VARIANTS |= BLOCKS

# --- tables ----------------------------------------------------------------------------------------------------------

KINDS = {"so": "single object", "po": "part", "go": "group", "bg": "background"}
METRICS = {"cor_loc": "/cor_loc", "dec_rate": "", "map50": "/map50"}
TABLES = {
    **{
        f"t3.{metric}": {
            "vanilla": Row(f"apart_vanilla{part}", f"t3.ivid.apart.vanilla.{metric}"),
            "patch-CLIP": Row(f"apart{part}", f"t3.ivid.apart.patch.{metric}"),
            "vanilla, joint": Row(f"ours_vanilla{part}", f"t3.ivid.joint.vanilla.{metric}"),
            "patch-CLIP, joint": Row(f"ours{part}", f"t3.ivid.joint.patch.{metric}"),
        }
        for metric, part in METRICS.items()
    },
    **{
        f"t4.{which}": {name: Row(f"{variant}/{kind}", f"t4.ivid.{which}.{kind}") for kind, name in KINDS.items()}
        for which, variant in (("apart", "apart"), ("joint", "ours"))
    },
    "controls": {
        "oracle": Row("oracle"),
        "ours": Row("ours"),
        "k-means of the same features": Row("control/feature_clusters"),
        "k-means of random features": Row("control/random_encoder_clusters"),
        "slots as they start": Row("control/slots_as_they_start"),
        "a grid of boxes": Row("control/grid_of_boxes"),
        "boxes around the centre": Row("control/central_boxes"),
        "our boxes of another clip": Row("control/of_next"),
    },
    "vocabulary": {f"{count} names": Row(f"vocabulary/{count}/map50") for count in BESIDE},
    "lambda": {"lambda 0": Row("ours/map50")}
    | {("no threshold" if name == "none" else f"lambda {name}"): Row(f"lambda/{name}/map50") for name in LAMBDAS},
    "ways": {
        "the text's": Row("text"),
        "the released code's": Row("released"),
        "ours": Row("ours"),
        "ours, neighbours also in time": Row("ours_all_neighbours"),
        "ours, every slot kept": Row("ours_all_kept"),
        "ours, merged however unlike": Row("ours_any_likeness"),
    },
    "settled": {
        "the true masks, rightly named": Row("fresh/oracle/map50"),
        "ours": Row("fresh/ours/map50"),
        "1. ten iterations": Row("fresh/ten_iterations/map50"),
        "2. half of uniform content": Row("fresh/half_content/map50"),
        "3. scores times solidity": Row("fresh/solid/map50"),
        "all three": Row("fresh/settled/map50"),
        "all three, CLIP's own patches": Row("fresh/settled_vanilla/map50"),
    },
    "as_many": {
        "ours": Row("fresh/ours"),
        "k-means of the same features": Row("fresh/as_many/feature_clusters"),
        "k-means of random features": Row("fresh/as_many/random_encoder_clusters"),
        "slots as they start": Row("fresh/as_many/slots_as_they_start"),
        "a grid of boxes": Row("fresh/as_many/grid_of_boxes"),
        "boxes around the centre": Row("fresh/as_many/central_boxes"),
    },
    "prompts": {
        "512 sentences, those that fit": Row("fresh/ours/named"),
        "512 sentences, the best": Row("fresh/prompt/best/named"),
        "512 sentences, their mean": Row("fresh/prompt/mean/named"),
        "a photo of": Row("fresh/prompt/photo/named"),
        "a photo of a": Row("fresh/prompt/photo_of_a/named"),
        "both photos, the best": Row("fresh/prompt/both_photos/named"),
    },
    "coco": {
        "before joint optimisation, released": Row("fresh/apart/map50"),
        "before joint optimisation, COCO's": Row("fresh/coco/apart"),
        "after, released": Row("fresh/ours/map50"),
        "after, COCO's": Row("fresh/coco/ours"),
        "after, CLIP's own patches, released": Row("fresh/ours_vanilla/map50"),
        "after, CLIP's own patches, COCO's": Row("fresh/coco/ours_vanilla"),
        "settled, released": Row("fresh/settled/map50"),
        "settled, COCO's": Row("fresh/coco/settled"),
    },
    "readers": {
        "words, CLIP's own patches": Row("fresh/masks/vanilla"),
        "words, Eq. 1-3 alone": Row("fresh/masks/eq_alone"),
        "words, patch-CLIP": Row("fresh/masks/patch_clip"),
        "linear reader, CLIP's own patches": Row("fresh/linear/vanilla"),
        "linear reader, patch-CLIP": Row("fresh/linear/patch_clip"),
        "linear reader, exchanged labels": Row("fresh/linear/exchanged"),
    },
    "blocks": {
        "attention and MLP, as released": Row("block/released"),
        "attention alone, the text's": Row("block/only_attention"),
        "MLP alone": Row("block/only_mlp"),
    },
}
STUDY = Study(
    "open_vocabulary",
    VARIANTS,
    recipes={"core": CORE, "shipped": Shipped(), "blocks": blocks.RECIPE, "tuned": RECIPE},
    grids={
        "core": LIVE,
        "shipped": tuple(name for name in VARIANTS if name not in LIVE + tuple(TRAINED) + tuple(BLOCKS)),
        "blocks": tuple(BLOCKS),
        "tuned": tuple(TRAINED),
    },
    tables=OF_RIVALS | TABLES,
    costs=record_costs,
)
