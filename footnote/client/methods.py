"""A method is written once, as a coroutine; the blocking client runs it at once, the other one returns it.

What the coroutines of a blocking client await never waits: its transport blocks instead. So one step runs them whole.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from footnote.client.session import Session

P = ParamSpec("P")
T = TypeVar("T")
Way = TypeVar("Way")


class Blocking:
    """Marks, for type checkers, clients whose methods return results."""


class Awaited:
    """Marks clients whose methods return awaitables."""


class Bound(Generic[Way]):
    """Calls over a session. `Way` is `Blocking` or `Awaited`."""

    def __init__(self, session: "Session") -> None:
        self._session = session


class _Shared:
    """A function that both clients have as a method; the transport delivers what it gives."""

    def __init__(self, function: Callable[..., Any], delivery: str) -> None:
        @wraps(function)
        def run(holder: Bound[Any], *given: Any, **named: Any) -> Any:
            return getattr(holder._session.transport, delivery)(function(holder, *given, **named))

        self._run: Any = run  # a function, which binds itself to its holder


class method(_Shared, Generic[P, T]):  # noqa: N801  a decorator
    """A coroutine function as a method of both clients."""

    def __init__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]) -> None:
        super().__init__(function, "finish")

    @overload
    def __get__(self, holder: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, holder: Bound[Awaited], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, holder: Bound[Blocking], owner: type) -> Callable[P, T]: ...
    def __get__(self, holder: Bound[Any] | None, owner: type) -> Any:
        return self._run.__get__(holder, owner)


class iterator(_Shared, Generic[P, T]):  # noqa: N801  a decorator
    """An asynchronous generator function as a method of both clients."""

    def __init__(self, function: Callable[Concatenate[Any, P], AsyncGenerator[T, None]]) -> None:
        super().__init__(function, "iterate")

    @overload
    def __get__(self, holder: None, owner: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, holder: Bound[Awaited], owner: type) -> Callable[P, AsyncGenerator[T, None]]: ...
    @overload
    def __get__(self, holder: Bound[Blocking], owner: type) -> Callable[P, Generator[T, None, None]]: ...
    def __get__(self, holder: Bound[Any] | None, owner: type) -> Any:
        return self._run.__get__(holder, owner)


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]  # what a coroutine returns
    coroutine.close()
    raise RuntimeError("A blocking client must not wait for an event loop.")


def iterate_now(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """The items of a generator that never waits. Closing this closes it, too."""
    try:
        while True:
            try:
                item = run_now(items.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        run_now(items.aclose())
