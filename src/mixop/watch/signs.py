"""What a run warns of, while it searches and afterwards."""

from mixop.report.verdict import last, remarks
from mixop.report.words import percent
from mixop.runs.read import RunContents


def signs(run: RunContents) -> list[str]:
    """Sentences: of a finished search those of its report, of another one what its last epoch says.

    Most remarks of a report are about the end of a search; its beginning is undecided, and knows little, in any search.

    Args:
        run: what was read.
    """
    search = run.search
    if run.native is not None or search is None:
        return remarks(run)
    found = []
    warned = [(epoch, text) for epoch, text in zip(search.epochs, search.texts.get("warning", ()), strict=False) if text]
    if warned:
        found.append(f"Epoch {warned[-1][0]}: {warned[-1][1]}")
    skip = last(search.skip_share)
    if skip is not None and skip > 0.5:
        found.append(
            f"Skip connections have {percent(skip)} of the mixing weight where they are offered: "
            "where that stays so to the end, it is the usual sign of a collapsed search."
        )
    return found
