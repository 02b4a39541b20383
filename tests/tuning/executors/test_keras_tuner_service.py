"""The chief's port: one thread does what many ask, and strangers are not answered."""

from __future__ import annotations

import json
import socket
import threading

import grpc
import pytest

from tuning.errors import EngineError, StoreError
from tuning.executors.keras_tuner_environment import Address
from tuning.executors.keras_tuner_service import SERVICE, Calls, JsonHandler, Refused, start_server


def test_work_is_done_in_the_thread_that_serves():
    """Eight threads ask, one answers all of them."""
    calls, threads, answers = Calls(), set(), []
    askers = [threading.Thread(target=lambda n=n: answers.append(calls.ask(lambda: (threads.add(
        threading.current_thread().name), n)[1]))) for n in range(8)]
    for asker in askers:
        asker.start()
    while len(answers) < 8:
        calls.serve(0.05)
    for asker in askers:
        asker.join()
    assert sorted(answers) == list(range(8))
    assert threads == {threading.current_thread().name}


def test_a_refusal_goes_to_who_asked_and_a_defect_to_the_chief_too():
    """A refused call changes nothing for the chief; a full disk ends it."""
    calls, heard = Calls(), []

    def ask(error):
        def work():
            raise error

        try:
            calls.ask(work)
        except Refused as refused:
            heard.append(str(refused))

    asker = threading.Thread(target=ask, args=(Refused("no such trial"),))
    asker.start()
    calls.serve(5.0)
    asker.join()
    asker = threading.Thread(target=ask, args=(StoreError("the disk is full"),))
    asker.start()
    with pytest.raises(StoreError):
        calls.serve(5.0)
    asker.join()
    assert heard == ["no such trial", "the disk is full"]


def test_a_closed_chief_refuses_at_once():
    """What comes later, and what waited, is refused and not left hanging."""
    calls, heard = Calls(), []

    def ask():
        with pytest.raises(Refused, match="has ended"):
            calls.ask(lambda: None)
        heard.append(True)

    asker = threading.Thread(target=ask)
    asker.start()
    while calls._queue.empty():
        pass
    calls.close()
    asker.join(5.0)
    ask()
    assert heard == [True, True]


@pytest.fixture
def served():
    calls = Calls()
    handler = JsonHandler(calls, "secret", {"hello": lambda request: {"hi": request.get("worker")},
                                            "ask": lambda request: {"task": None}})
    server, address = start_server(Address("127.0.0.1", 0), [handler], lambda made: None)
    ended = threading.Event()

    def serve():
        while not ended.is_set():
            calls.serve(0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    with grpc.insecure_channel(str(address)) as channel:
        yield channel, address
    ended.set()
    thread.join()
    calls.close()
    server.stop(0).wait()


def call(channel, method, data):
    return json.loads(channel.unary_unary(f"/{SERVICE}/{method}")(data, timeout=5))


def test_only_who_knows_the_token_is_answered(served):
    """A greeting needs none; everything else does, and what is no JSON, or no method, is refused as such."""
    channel, _ = served
    assert call(channel, "hello", b'{"worker": "w"}') == {"hi": "w"}
    assert call(channel, "ask", b'{"token": "secret"}') == {"task": None}
    for method, data, code in (("ask", b'{"token": "other"}', grpc.StatusCode.UNAUTHENTICATED),
                               ("ask", b"{}", grpc.StatusCode.UNAUTHENTICATED),
                               ("ask", b"{", grpc.StatusCode.INVALID_ARGUMENT),
                               ("ask", b"[1]", grpc.StatusCode.INVALID_ARGUMENT),
                               ("other", b"{}", grpc.StatusCode.UNIMPLEMENTED)):
        with pytest.raises(grpc.RpcError) as refused:
            call(channel, method, data)
        assert refused.value.code() == code


def test_a_taken_port_is_refused(served):
    """Two chiefs do not share a port without knowing."""
    _, address = served
    with pytest.raises(EngineError, match="cannot listen at"):
        start_server(address, [], lambda made: None)


def test_port_zero_takes_a_free_one(served):
    """And says which."""
    _, address = served
    with socket.create_connection((address.host, address.port), timeout=5):
        assert address.port > 0
