"""The gRPC server of our own, called by gRPC's own client."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable

import grpc
import pytest

from serving.server import h2_frames as h2
from tests.serving.server.h2_client import RawClient, message
from tests.serving.server.h2_service import ECHO, MAX_BYTES, Running


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 65_536, 1_000_003, 7_000_000])
def test_messages_of_any_size_there_and_back(running: Running, size: int) -> None:
    """Across frames and windows of both sides."""
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert running.ask("Echo", content) == content
    assert running.ask("Many", b"%d" % size) == bytes(size)


def test_calls_side_by_side_do_not_mix(running: Running) -> None:
    """A hundred calls of one connection at once, small and large, each with its own answer."""
    contents = [bytes([number]) * (number * number * 40 + 1) for number in range(100)]
    ask = running.channel.unary_unary(ECHO)
    futures = [ask.future(content, timeout=60) for content in contents]
    assert [future.result() for future in futures] == contents


def test_quick_calls_come_to_be_answered_by_the_reading_thread(own: Callable[..., Running]) -> None:
    """Unless that is switched off."""
    for answer_quick_calls in (True, False):
        running = own(answer_quick_calls=answer_quick_calls)
        for _ in range(5000):
            running.ask("Echo", b"x")
            if "grpc-loop" in running.service.threads:
                break
            if not answer_quick_calls and len(running.service.threads) == 4:
                break
        assert ("grpc-loop" in running.service.threads) is answer_quick_calls


def test_metadata_both_ways(running: Running) -> None:
    """Text and bytes, from and to the client, and the client's address."""
    given = (("x-word", "there"), ("x-raw-bin", b"\x00\xff,"))
    answer, call = running.channel.unary_unary("/test.Echo/Metadata").with_call(b"", timeout=20, metadata=given)
    assert answer == repr(("there", b"\x00\xff,", "ipv4:127.0.0.1:")).encode()
    assert dict(call.trailing_metadata()) == {"x-word": "back", "x-raw-bin": bytes(range(256))}


@pytest.mark.parametrize(("request_", "code", "words"), [
    (b"abort", grpc.StatusCode.FAILED_PRECONDITION, "100% wrong: ä\n\x00 end"),
    (b"code", grpc.StatusCode.NOT_FOUND, "nothing here"),
    (b"raise", grpc.StatusCode.INTERNAL, "The server failed at this request; its log has the reason."),
])
def test_errors_have_code_and_words(running: Running, request_: bytes, code: grpc.StatusCode, words: str) -> None:
    """Words of any characters; those of an exception stay in the log."""
    with pytest.raises(grpc.RpcError) as caught:
        running.ask("Fail", request_)
    assert (caught.value.code(), caught.value.details()) == (code, words)


def test_what_is_not_there_and_what_cannot_be_read(running: Running) -> None:
    """UNIMPLEMENTED for an unknown method, INVALID_ARGUMENT for a message that its method cannot read."""
    with pytest.raises(grpc.RpcError) as caught:
        running.ask("None", b"")
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    with pytest.raises(grpc.RpcError) as caught:
        running.ask("Number", b"seven")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests(running: Running, compression: grpc.Compression) -> None:
    """Both kinds that gRPC's client has."""
    content = b"again and again " * 10_000
    assert running.ask("Echo", content, compression=compression) == content


def test_a_message_over_the_limit_is_refused(running: Running) -> None:
    """With RESOURCE_EXHAUSTED, before it is received; the connection goes on."""
    with pytest.raises(grpc.RpcError) as caught:
        running.ask("Echo", bytes(MAX_BYTES + 1))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"larger than max ({MAX_BYTES + 1} vs. {MAX_BYTES})" in caught.value.details()
    assert running.ask("Echo", b"next") == b"next"


def test_streams_of_answers_and_of_requests(running: Running) -> None:
    """Many answers to one request, and an answer to each of many requests as they come."""
    count = running.channel.unary_stream("/test.Echo/Count")
    assert list(count(b"1000", timeout=20)) == [b"%d" % number for number in range(1000)]
    said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    answers = running.channel.stream_stream("/test.Echo/Doubled")(iter(said.get, None), timeout=20)
    for word in (b"a", bytes(100_000), b""):
        said.put(word)
        assert next(answers) == word * 2
    said.put(None)
    assert list(answers) == []


def test_a_caller_who_goes_is_noticed(own: Callable[..., Running]) -> None:
    """By the handler that asks and by the callback, after a cancellation and after a deadline."""
    running = own()
    wait = running.channel.unary_unary("/test.Echo/Wait")
    for timeout in (20.0, 0.2):
        future = wait.future(b"", timeout=timeout)
        assert running.service.entered.acquire(timeout=20)
        if timeout > 1:
            future.cancel()
        assert running.service.gone.get(timeout=20) == "over"
        assert future.exception() is not None if timeout < 1 else future.cancelled()
    assert running.ask("Echo", b"next") == b"next"


def test_stopping_answers_what_is_under_way_and_drops_nothing(own: Callable[..., Running]) -> None:
    """A call that was running is answered after `stop`; new connections are refused; the rest of the wait is spared."""
    running = own()
    future = running.channel.unary_unary("/test.Echo/Wait").future(b"", timeout=20)
    assert running.service.entered.acquire(timeout=20)
    stopped = running.server.stop(20)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", running.port), 1).close()
        except OSError:
            break
    else:
        pytest.fail("the port still takes connections")
    assert not stopped.is_set()
    running.service.gate.set()
    assert future.result() == b"(True, True)"
    assert stopped.wait(20)


def test_a_call_that_does_not_end_is_given_up(own: Callable[..., Running]) -> None:
    """When the grace is over, the caller learns that the server has gone."""
    running = own()
    future = running.channel.unary_unary("/test.Echo/Wait").future(b"", timeout=20)
    assert running.service.entered.acquire(timeout=20)
    assert running.server.stop(0.2).wait(20)
    assert future.exception().code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_more_connections_than_allowed_are_closed(own: Callable[..., Running]) -> None:
    """The ones before them go on."""
    running = own(max_connections=2)
    with RawClient(running.port) as first, RawClient(running.port) as second:
        for client in (first, second):
            client.call(1, ECHO, message(b"in"))
            assert client.answer(1)["grpc-status"] == "0"
        with pytest.raises(ConnectionError), RawClient(running.port) as third:
            third.call(1, ECHO, message(b"out"))
            third.answer(1)
        first.call(3, ECHO, message(b"in"))
        assert first.answer(3)["grpc-status"] == "0"


def test_more_calls_than_allowed_are_refused(own: Callable[..., Running]) -> None:
    """Calls that were given up count for as long as they run, so that giving up at once fills no queue."""
    running = own(max_streams=4, threads=1)
    with RawClient(running.port) as client:
        for number in range(1, 9, 2):
            client.call(number, "/test.Echo/Wait", message(b""))
            # Given up before the one thread takes it, it would be over; the others stand behind it.
            assert number > 1 or running.service.entered.acquire(timeout=20)
            client.send(h2.reset_frame(number, h2.CANCEL))
        client.call(9, ECHO, message(b"x"))
        assert client.answer(9)["reset"] == str(h2.REFUSED_STREAM)
        running.service.gate.set()
        deadline, number, status = time.monotonic() + 20, 11, ""
        while status != "0" and time.monotonic() < deadline:
            client.call(number, ECHO, message(b"x"))
            status = client.answer(number).get("grpc-status", "")
            number += 2
        assert status == "0"
