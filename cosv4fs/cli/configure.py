"""The command configure, which writes a profile."""

from __future__ import annotations

import sys
from typing import Any

import click

from cosv4fs.cli.commands import command
from cosv4fs.cli.doctor import diagnose, has_problem
from cosv4fs.cli.failures import DIFFERENT
from cosv4fs.cli.output import quoted
from cosv4fs.cli.profiles import read_profile, write_profile
from cosv4fs.cli.session import PROTOCOLS, Session
from cosv4fs.config import DEFAULT_PROFILE, needed_options
from cosv4fs.options import option_named
from cosv4fs.protocols import CDCS, V4, ProtocolSpec
from cosv4fs.regions import similar_region

_QUESTIONS = {
    "appid": "appid (number of the account)",
    "region": "region (such as gz or ap-guangzhou)",
    "secret_id": "secret_id",
    "secret_key": "secret_key (not shown)",
}


@command(short_help="Write credentials to a profile, and check them.")
@click.argument("profile", default=DEFAULT_PROFILE)
@click.option("--protocol", type=click.Choice(list(PROTOCOLS)), help="The service; default: cosv4.")
@click.option("--bucket", help="Bucket or coffer with which doctor checks the profile.")
@click.pass_obj
def configure(session: Session, profile: str, protocol: str | None, bucket: str | None) -> None:
    """Write the options of an account to a section of the profile file, and run doctor.

    Without PROFILE, writes the section default, which applies where no profile is named.

    On a terminal, asks for what is missing. In scripts, give the options: -o appid=..., -o region=..., -o secret_id=...
    and -o secret_key=..., where - reads a line of standard input. All other options, and --endpoint, are written, too.
    Everything else in the file stays as it is.
    """
    if not profile.isprintable() or not profile.strip() or set(profile) & set("[]"):
        raise click.UsageError(f"{profile!r} cannot be the name of a profile: use letters, digits, - and _")
    known = read_profile(profile)
    is_asking = sys.stdin is not None and sys.stdin.isatty()
    if protocol is None:
        names = click.Choice(list(PROTOCOLS))
        protocol = _prompt("service", default=V4.name, type=names) if is_asking else V4.name
    spec = PROTOCOLS[str(protocol)]
    values = _values(session, spec, known, is_asking)
    if bucket is None and is_asking:
        question = f"{spec.capabilities.container} to check it with (empty: none)"
        bucket = _prompt(question, default="", show_default=False) or None
    changes: dict[str, str | None] = dict(values)
    if "secret_id" in values and "security_token" not in values:
        # a token belongs to the key it was issued with
        changes["security_token"] = None
    file = write_profile(profile, changes)
    _finish(session, spec, profile, bucket, {"profile": profile, "file": str(file), "options": sorted(values)})


def _values(session: Session, spec: ProtocolSpec, known: dict[str, str], is_asking: bool) -> dict[str, str]:
    """Return the options to write: those given, and the answers to questions about what is missing."""
    values: dict[str, str] = {}
    for name, value in session.options.get(spec.name, {}).items():
        values[name] = _checked(name, _line() if value == "-" and name == "secret_key" else value, spec)
    complete = {**known, **values}
    needed = needed_options(
        spec, has_endpoint=bool(complete.get("endpoint")), anon=_is_true(complete.get("anon"), spec)
    )
    missing = [name for name in needed if not complete.get(name)]
    if is_asking:
        return values | {name: _asked(name, known.get(name), spec) for name in needed if name not in values}
    if missing:
        options = " ".join(f"-o {name}=..." for name in missing)
        raise click.UsageError(f"missing {', '.join(missing)}: give {options}, or run configure on a terminal")
    return values


def _is_true(value: str | None, spec: ProtocolSpec) -> bool:
    return value is not None and bool(option_named("anon").parse(value, spec))


def _line() -> str:
    if sys.stdin is None:
        raise click.UsageError("secret_key=-: standard input is closed")
    return sys.stdin.readline()


def _asked(name: str, known: str | None, spec: ProtocolSpec) -> str:
    """Ask for an option until the answer is valid; an empty answer keeps the value of the profile."""
    is_secret = name == "secret_key"

    def check(text: str) -> str:
        try:
            return _checked(name, text, spec)
        except click.UsageError as error:
            raise click.BadParameter(error.message) from None

    question = _QUESTIONS[name] + (" [unchanged]" if is_secret and known else "")
    shows = not is_secret and known is not None
    answer: Any = _prompt(question, default=known, show_default=shows, hide_input=is_secret, value_proc=check)
    return str(answer)


def _prompt(question: str, **settings: Any) -> Any:
    """Ask a question on stderr; after Ctrl-C, end its line."""
    try:
        return click.prompt(question, err=True, **settings)
    except click.Abort:
        click.echo(err=True)
        raise


def _checked(name: str, text: str, spec: ProtocolSpec) -> str:
    """Return the text of an option without surrounding blanks, as the profile file holds it; refuse invalid ones."""
    text = text.strip()
    option = option_named(name)
    if not option.is_stored or name == "credentials":
        raise click.UsageError(f"{name} cannot be an option of a profile")
    if not text:
        raise click.UsageError(f"{name} is empty")
    try:
        value = option.parse(text, spec)
    except (ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from None
    if not text.isprintable():
        raise click.UsageError(f"{name} must not have control characters")
    if name == "region" and (similar := similar_region(value, spec)):
        raise click.UsageError(f"there is no region {text!r}: did you mean {similar}?")
    if name == "secret_key" and text.startswith("AKID"):
        raise click.UsageError(
            "this is a secret_id, which begins with AKID: the secret_key is the other one of the two"
        )
    return text


def _finish(session: Session, spec: ProtocolSpec, profile: str, bucket: str | None, row: dict[str, Any]) -> None:
    """Say what was written, check it, and say how to use it."""
    if not session.as_json:
        session.say(f"wrote {', '.join(row['options'])} to section [{profile}] of {row['file']}")
    session.options = {spec.name: {"profile": profile}}
    if bucket is not None:
        row["findings"] = diagnose(session, f"{spec.name}://{bucket.removeprefix(f'{spec.name}://')}", write=False)
    elif not session.as_json:
        name = "coffer-APPID" if spec is CDCS else "bucket"
        session.say(f"to check it: cosv4fs doctor -o {quoted(f'profile={profile}')} {spec.name}://{name}")
    if session.as_json:
        session.show_json(row)
    else:
        session.say(_use(spec, profile))
    if has_problem(row.get("findings", [])):
        sys.exit(DIFFERENT)


def _use(spec: ProtocolSpec, profile: str) -> str:
    """Return how to use a profile."""
    if profile == DEFAULT_PROFILE:
        return "it applies where no profile is named and the options and the environment lack a part of the account"
    variable = f"{spec.name.upper()}_PROFILE"
    return f"use it with -o {quoted(f'profile={profile}')}, or with {variable}={profile} in the environment"
