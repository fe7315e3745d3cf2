"""`footnote mcp`: the API's MCP server for programs that start a command and talk to it on stdin and stdout."""

import typer


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel="Answers")(mcp)


def mcp() -> None:
    """Serve the documents to a program that speaks MCP on stdin and stdout, such as an assistant.

    Server and key are found as by every other command. Messages for people go to stderr.
    """
    import anyio

    from footnote.cli.mcp_relay import relay
    from footnote.cli.target import target_with_key
    from footnote.settings import Settings

    anyio.run(relay, target_with_key(Settings()))
