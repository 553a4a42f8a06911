"""Steps as earlier versions wrote them, in today's form."""

from compressor.base.documents import Json


def modernised(step: Json) -> Json:
    """Return a step's document in today's form; what does not look like a former one stays as it is.

    Until 0.1, channels were only removed: ``remove_channels`` kept lists of positions by ``cuts``.
    """
    cuts = step.get("cuts")
    if step.get("kind") != "remove_channels" or not isinstance(cuts, list):
        return step
    rest = {name: value for name, value in step.items() if name not in ("groups", "keeps", "cuts")}
    changes = [_renamed(cut) if isinstance(cut, dict) else cut for cut in cuts]
    return {
        **rest, "kind": "change_channels", "decisions": step.get("groups"), "takes": step.get("keeps"),
        "changes": changes,
    }  # fmt: skip


def _renamed(cut: Json) -> Json:
    return {"take" if name == "keep" else name: value for name, value in cut.items()}
