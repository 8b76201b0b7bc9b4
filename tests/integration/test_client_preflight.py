"""Each fault of a connection is told from every other, against real servers."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading

import pytest

from gateway.cli.application import run
from gateway.client import Fault, preflight
from gateway.crypto.certificates import issue_gateway, issue_system
from tests.integration.rpc_setup import CLOCK, TH, VN, exchange, federation, state, system_identity

TH_STATE, VN_STATE = state(TH), state(VN)
DAY_MS = 86_400_000


def write(folder, name, identity):
    (folder / f"{name}.pem").write_bytes(identity[1])
    (folder / f"{name}.key").write_bytes(identity[0])
    return {"chain": folder / f"{name}.pem", "key": folder / f"{name}.key"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    for of in (TH_STATE, VN_STATE):
        (folder / f"{of.partner}.pem").write_bytes(of.authority[1])
    now_ms = CLOCK.now_ms()
    system = system_identity(TH_STATE, "early-warning")
    stranger = system_identity(VN_STATE, "early-warning")
    unregistered = system_identity(TH_STATE, "nobody")
    return {
        "folder": folder,
        "roots": folder / "th.pem",
        "good": write(folder, "good", (system.private_key_pem, system.certificate_chain_pem)),
        "foreign": write(folder, "foreign", (stranger.private_key_pem, stranger.certificate_chain_pem)),
        "unregistered": write(folder, "nobody", (unregistered.private_key_pem, unregistered.certificate_chain_pem)),
        "expired": write(folder, "old", issue_system(TH_STATE.authority, TH, "early-warning", now_ms - 3000 * DAY_MS)),
        "early": write(folder, "early", issue_system(TH_STATE.authority, TH, "early-warning", now_ms + 30 * DAY_MS)),
    }


async def check(files, port, who="good", *, host="localhost", roots=None, timeout_s=20.0):
    own = files[who] if who else {}
    arguments = {"roots": roots or files["roots"], "timeout_s": timeout_s, **own}
    return await asyncio.to_thread(preflight, f"{host}:{port}", **arguments)


@contextlib.contextmanager
def answering(answer):
    """A server on a port of its own that treats each connection with a function."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=treat, args=(connection,), daemon=True).start()

        def treat(connection):
            with contextlib.suppress(OSError), connection:
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def tls_server(folder, name, identity, protocols=("h2",)):
    own = write(folder, name, identity)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own["chain"], own["key"])
    context.set_alpn_protocols(list(protocols))

    def answer(connection):
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(100)

    return answer


async def test_what_a_gateway_refuses_is_told_apart(files):
    async with exchange(TH_STATE) as th:
        good = await check(files, th.port)
        assert good.fault is None, str(good)
        assert [step.name for step in good.steps] == ["files", "name", "port", "gateway", "ourselves", "call"]
        expected = {
            "foreign": Fault.OWN_UNTRUSTED,
            "expired": Fault.OWN_DATES,
            "early": Fault.OWN_DATES,
            "unregistered": Fault.NOT_REGISTERED,
            "": Fault.OWN_MISSING,
        }
        for who, fault in expected.items():
            report = await check(files, th.port, who)
            assert report.fault is fault, str(report)
            last = report.steps[-1]
            assert last.why, fault
            assert last.fix, fault
        other = await check(files, th.port, roots=files["folder"] / "vn.pem")
        assert other.fault is Fault.SERVER_UNTRUSTED, str(other)
        assert "Concord th authority" in other.steps[-1].why


async def test_the_listener_for_partners_is_told_from_that_for_systems(files):
    async with federation(TH_STATE, VN_STATE) as th:
        report = await check(files, th.port)
        assert report.fault is Fault.WRONG_SERVICE, str(report)


async def test_what_no_gateway_answers_is_told_apart(files, tmp_path):
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    assert (await check(files, port)).fault is Fault.PORT_CLOSED
    assert (await check(files, 7444, host="no-such-gateway.invalid")).fault is Fault.NAME_UNKNOWN
    for target in ("gateway", "gateway:", ":7444", "gateway:x", "gateway:70000", "a" * 300 + ".example:7444"):
        report = await asyncio.to_thread(preflight, target, roots=files["roots"])
        assert report.fault is Fault.NAME_UNKNOWN, target

    with answering(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert (await check(files, port)).fault is Fault.NOT_TLS
    with answering(lambda connection: connection.recv(10)) as port:
        assert (await check(files, port)).fault is Fault.NOT_TLS
    ended = threading.Event()
    with answering(lambda _: ended.wait(60)) as port:
        report = await check(files, port, timeout_s=0.3)
        ended.set()
        assert (report.fault, report.steps[-1].name) == (Fault.SILENT, "gateway")

    now_ms = CLOCK.now_ms()
    old = tls_server(tmp_path, "old", issue_gateway(TH_STATE.authority, TH, now_ms - 3000 * DAY_MS))
    with answering(old) as port:
        assert (await check(files, port)).fault is Fault.SERVER_DATES
    named = tls_server(tmp_path, "named", issue_gateway(TH_STATE.authority, TH, now_ms, ("gateway.example",)))
    with answering(named) as port:
        report = await check(files, port)
        assert report.fault is Fault.SERVER_NAME, str(report)
        assert "gateway.example" in report.steps[-1].why
    web = tls_server(tmp_path, "web", issue_gateway(TH_STATE.authority, TH, now_ms), ("http/1.1",))
    with answering(web) as port:
        assert (await check(files, port)).fault is Fault.WRONG_SERVICE


async def test_a_line_that_drops_what_it_gets_is_told_from_a_closed_port(files):
    # A queue of waiting connections that is full: the kernel drops the next one's packets, as a firewall does.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as stack:
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        report = await check(files, server.getsockname()[1], timeout_s=0.5)
        assert (report.fault, report.steps[-1].name) == (Fault.SILENT, "port"), str(report)


def test_files_that_cannot_be_used_are_named(files, tmp_path):
    empty, rubbish, large = tmp_path / "empty", tmp_path / "rubbish", tmp_path / "large"
    empty.write_bytes(b"")
    rubbish.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    large.write_bytes(b"\0" * (2 << 20))
    good = files["good"]
    key_of_another = files["foreign"]["key"]
    cases = [
        {"roots": empty, **good},
        {"roots": rubbish, **good},
        {"roots": large, **good},
        {"roots": tmp_path / "missing", **good},
        {"roots": files["roots"], "chain": rubbish, "key": good["key"]},
        {"roots": files["roots"], "chain": good["chain"], "key": good["chain"]},
        {"roots": files["roots"], "chain": good["chain"], "key": key_of_another},
        {"roots": files["roots"], "chain": good["chain"]},
    ]
    for case in cases:
        report = preflight("localhost:1", **case)
        assert report.fault is Fault.FILES, (case, str(report))
        assert report.steps[-1].why


async def test_the_command_says_where_it_stops(files, capsys):
    async with exchange(TH_STATE) as th:
        words = ["client", "check", "--target", f"localhost:{th.port}", "--roots", str(files["roots"]), "--json"]
        own = files["good"]
        code = await asyncio.to_thread(run, [*words, "--chain", str(own["chain"]), "--key", str(own["key"])])
        told = json.loads(capsys.readouterr().out)
        assert (code, told["fault"], told["steps"][-1]["name"]) == (0, None, "call")
        code = await asyncio.to_thread(run, words)
        told = json.loads(capsys.readouterr().out)
        assert (code, told["fault"]) == (2, "own_missing")
