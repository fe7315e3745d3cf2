"""`model-swap`: another embedding model for a collection, while it is searched."""

import json
from pathlib import Path
from time import sleep
from typing import Annotated

import typer

from footnote.cli.commands import Command, Json, Resource, call
from footnote.cli.terminal import counted, moment, say

PATH = "/v1/collections/{}/model"
Name = Annotated[str, typer.Argument(metavar="COLLECTION", help="Its name or id.")]
Model = Annotated[str, typer.Argument(metavar="PROVIDER[/MODEL]", help="The other embedding model.")]
LOOK_SECONDS = 1.0  # between two looks at the progress


def _show(name: Name) -> Json:
    """Show the model of a collection, and the progress of its swap."""
    return call("GET", PATH, name)


def _estimate(name: Name, model: Model) -> Json:
    """Estimate what a swap would cost. A few dozen texts are embedded for it."""
    return call("POST", PATH + "/estimate", name, body=_named(model))


def _begin(
    name: Name,
    model: Model,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask after the estimate.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until the swap is ready, with its progress on stderr.")] = False,
) -> Json:
    """Begin a swap, after an estimate of its cost. Searches use the present model until `switch`."""
    if not yes:
        say(_estimated(_estimate(name, model)), err=True)
        typer.confirm("Begin?", abort=True, err=True)
    begun = call("PUT", PATH, name, body=_named(model))
    return _waited(name) if wait else begun


def _waited(name: str) -> Json:
    reported = None
    while (swap := call("GET", PATH, name)["swap"])["status"] == "backfilling":
        if (line := _swap(swap)) != reported:
            say(line, err=True)
        reported = line
        sleep(LOOK_SECONDS)
    return dict(swap)


def _compare(
    name: Name,
    questions: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="JSON: a list of questions, or of objects with `question` and `relevant` (ids of documents). "
            "Default: the newest questions that are stored.",
        ),
    ] = None,
) -> Json:
    """Ask both models the same questions, and compare what they find."""
    given = _read(questions) if questions else []
    return call("POST", PATH + "/compare", name, body={"questions": given})


def _read(file: Path) -> list[Json]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{file} is not JSON: {error}") from error
    if not isinstance(found, list):
        raise typer.BadParameter(f"{file} holds no list.")
    return [{"question": each} if isinstance(each, str) else each for each in found]


def _switch(name: Name) -> Json:
    """Use the other model for searches from now on."""
    return call("POST", PATH + "/switch", name)


def _roll_back(name: Name) -> Json:
    """Use the former model for searches again."""
    return call("POST", PATH + "/rollback", name)


def _drop(name: Name) -> Json:
    """Delete the vectors that are not searched: cancels a swap, or ends it after the switch."""
    return call("DELETE", PATH, name)


def _named(model: str) -> Json:
    provider, _, name = model.partition("/")
    return {"provider": provider} | ({"model": name} if name else {})


def _model(embedding: Json) -> str:
    return f"{embedding['provider']}/{embedding['model']}"


def _shown(found: Json) -> str:
    said = f"searched by {_model(found['embedding'])}"
    return f"{said}\n{_swap(found['swap'])}" if found["swap"] else said


def _swap(swap: Json) -> str:
    progress, spent = swap["progress"], swap["tokens_spent"]
    said = f"{swap['state'].replace('_', ' ')}  {_model(swap['former'])} to {_model(swap['next'])}"
    said += (
        f"  {progress['done']} of {counted(progress['total'], 'chunk')}, {spent} of {swap['estimate']['tokens']} tokens"
    )
    said += f"  waits for {swap['waiting_for']}" if swap["waiting_for"] else ""
    if swap["status"] == "switched" and swap["drop_after"]:
        said += f"  can be rolled back until {moment(swap['drop_after'])}"
    return said


def _estimated(found: Json) -> str:
    cost = "at an unknown price" if found["cost"] is None else f"{float(found['cost']):.4f} US dollars"
    texts = f"{counted(found['texts'], 'text')} of {counted(found['chunks'], 'chunk')}"
    return f"{_model(found)}, {found['dimensions']} dimensions: {texts}, {counted(found['tokens'], 'token')}, {cost}"


def _compared(found: Json) -> str:
    if not found["questions"]:
        return "There are no stored questions: give some with --questions."
    said = (
        f"{counted(len(found['questions']), 'question')}, {found['overlap']:.0%} of the first ten passages are the same"
    )
    if found["ndcg_active"] is not None:
        said += f"; nDCG@10 {found['ndcg_active']:.3f} searched, {found['ndcg_standby']:.3f} the other"
    return said


MODEL_SWAP = Resource(
    "model-swap",
    "Documents",
    help="Another embedding model for a collection, while it is searched.",
    commands=[
        Command("show", _show, _shown),
        Command("estimate", _estimate, _estimated),
        Command("begin", _begin, _swap),
        Command("compare", _compare, _compared),
        Command("switch", _switch, _swap),
        Command("rollback", _roll_back, _swap),
        Command("drop", _drop, _swap),
    ],
)
