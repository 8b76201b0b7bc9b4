"""Access tokens from a real authorization server at a real exchange listener, good and bad in every way known."""

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl
import time
from dataclasses import dataclass

import aiohttp
import grpc
import pytest
from concord.v1 import approval_service_pb2 as pb
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from pydantic import ValidationError

from gateway.crypto.certificates import pem_to_der
from gateway.exchange.submission import Submitter
from gateway.ids import AuthorityId
from gateway.issuers import Issuer, Principal
from gateway.rpc.server import TokenSettings
from gateway.rpc.tokens import KeySource
from tests.fixtures.gateways import free_port
from tests.fixtures.token_provider import AUDIENCE, ISSUER, Client, new_key, proof, provider
from tests.integration.rpc_setup import (
    CLOCK,
    EARLY_WARNING,
    TH,
    Registrations,
    channel,
    exchange,
    state,
    system_identity,
    until,
)
from tests.integration.test_rpc_exchange import refusal, request

OWN = state(TH)
ROOT = OWN.authority[1]
SYSTEM, OTHER = system_identity(OWN, "early-warning"), system_identity(OWN, "hotline")
RESOURCE = "https://gateway.th.example:7444"
SUBMIT, LIST = "/concord.v1.ExchangeService/SubmitMessage", "/concord.v1.ExchangeService/ListMessages"
ADAPTER = Submitter(principal="token/adapter", authorities=frozenset({AuthorityId("th/early-warning")}))


def x5t(identity) -> str:
    digest = hashlib.sha256(pem_to_der(identity.certificate_chain_pem)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


BOUND = {"cnf": {"x5t#S256": x5t(SYSTEM)}}


class ShiftedClock:
    shift_ms = 0

    def now_ms(self):
        return CLOCK.now_ms() + self.shift_ms


@dataclass
class World:
    provider: object
    th: object
    raw: grpc.aio.Channel
    bare: grpc.aio.Channel
    clock: ShiftedClock

    async def call(self, token="", *, path=LIST, scheme="Bearer", dpop=None, data=b"", raw=None, extra=()):
        metadata = [("authorization", f"{scheme} {token}"), *extra]
        if dpop is not None:
            metadata.append(("dpop", dpop))
        return await (raw or self.raw).unary_unary(path)(data, timeout=20, metadata=metadata)

    async def refused(self, token="", **how):
        code, told = await refusal(self.call(token, **how))
        return code, told.reason, self.th.rejected.latest()[-1].detail


@contextlib.asynccontextmanager
async def world(**changed):
    async with provider() as found:
        clock = ShiftedClock()
        principal = Principal(
            name="adapter", subject="adapter", client_id="adapter", authorities=tuple(ADAPTER.authorities),
            scopes=frozenset({"concord.submit", "concord.read"}),
        )  # fmt: skip
        auditor = Principal(name="court", role="auditor", subject="court", scopes=frozenset({"concord.audit"}))
        officer = Principal(
            name="somchai", role="officer", subject="somchai", authorities=tuple(ADAPTER.authorities),
            officer_id="o-17", officer_roles=frozenset({"approver"}), scopes=frozenset({"concord.decide"}),
        )  # fmt: skip
        settings = {"jwks_url": f"{found.url}/jwks", **changed}
        # An officer's token must be bound: with others none may stand for one.
        known = (principal, auditor) if changed.get("allow_unbound") else (principal, auditor, officer)
        issuer = Issuer(url=ISSUER, audience=AUDIENCE, resource=RESOURCE, principal=known, **settings)
        keys = KeySource(
            url=issuer.jwks_url, path=issuer.jwks_file, ca_file=found.ca_file, max_stale_s=issuer.max_stale_s,
            clock=clock,
        )  # fmt: skip
        port = None if issuer.require_certificate else free_port()
        tokens = TokenSettings({ISSUER: (issuer, keys)}, f"127.0.0.1:{port}" if port else None)
        known = Registrations({"system/early-warning": EARLY_WARNING, "token/adapter": ADAPTER})
        async with (
            exchange(OWN, submitters=known, tokens=tokens) as th,
            channel(SYSTEM, ROOT, th.port) as raw,
            channel(None, ROOT, port or th.port) as bare,
        ):
            yield World(found, th, raw, bare, clock)


async def fetched(found, client: Client, scope: str) -> str:
    found.clients[client.client_id] = client
    trust = ssl.create_default_context(cafile=found.ca_file)
    auth = base64.b64encode(f"{client.client_id}:{client.secret}".encode()).decode()
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session,
        session.post(
            f"{found.url}/token",
            data={"grant_type": "client_credentials", "scope": scope},
            headers={"Authorization": f"Basic {auth}"},
        ) as response,
    ):
        answer = await response.json(content_type=None)
        assert response.status == 200, answer
        return answer["access_token"]


async def test_a_token_of_a_real_server_bound_to_the_certificate_submits_as_its_principal():
    async with world() as at:
        client = Client("adapter", "s3cret", "concord.submit concord.read", BOUND["cnf"])
        token = await fetched(at.provider, client, "concord.submit")
        await at.call(token, path=SUBMIT, data=request().SerializeToString())
        (submission,) = at.th.memory.submissions
        assert submission.submitter == ADAPTER
        # Scopes that were not asked for are not there.
        code, reason, detail = await at.refused(token)
        assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "METHOD_NOT_ALLOWED")
        assert "concord.read" in detail
        # Without a token the same connection is the system that its certificate names.
        await at.raw.unary_unary(LIST)(b"", timeout=20)


async def test_every_bad_token_is_refused_with_one_public_reason_and_its_own_private_one():
    async with world() as at:
        found, now = at.provider, int(time.time())
        sign, claims = found.sign, found.claims
        public = found.keys[0].as_pem(private=False)

        def good(**changed):
            return sign(claims(**BOUND, **changed))

        def unsigned(alg):
            def part(data):
                return base64.urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()

            head = {"alg": alg, "typ": "at+jwt", "kid": found.keys[0].kid}
            return f"{part(head)}.{part(claims(**BOUND))}.{part({})}"

        head = {"alg": "HS256", "typ": "at+jwt", "kid": found.keys[0].kid}
        # The classic: the public key as the secret of an HMAC.
        confused = jwt.encode(head, claims(**BOUND), OctKey.import_key(base64.b64encode(public)), algorithms=["HS256"])
        rsa = RSAKey.generate_key(2048)
        cases = {
            "expired": (good(exp=now - 120, iat=now - 400), "has expired"),
            "not yet": (good(nbf=now + 300), "not valid yet"),
            "from the future": (good(iat=now + 200), "not valid yet"),
            "for ten days": (good(exp=now + 864_000), "longer than a day"),
            "no end": (good(exp=None), "exp is missing"),
            "end in words": (good(exp="tomorrow"), "exp is missing"),
            "endless": (good(exp=1e400), "exp is missing"),
            "another issuer": (good(iss="https://evil.example"), "issuer that is not configured"),
            "issuer as list": (good(iss=[ISSUER]), "issuer that is not configured"),
            "another audience": (good(aud="urn:other"), "another audience"),
            "no audience": (good(aud=None), "another audience"),
            "alg none": (unsigned("none"), "algorithm"),
            "HMAC with the public key": (confused, "algorithm"),
            "algorithm not configured": (
                jwt.encode(
                    {"alg": "RS256", "typ": "at+jwt", "kid": found.keys[0].kid},
                    claims(**BOUND),
                    rsa,
                    algorithms=["RS256"],
                ),
                "algorithm",
            ),
            "algorithm of another key": (
                jwt.encode(
                    {"alg": "PS256", "typ": "at+jwt", "kid": found.keys[0].kid},
                    claims(**BOUND),
                    rsa,
                    algorithms=["PS256"],
                ),
                "not one for its algorithm",
            ),
            "unknown key": (sign(claims(**BOUND), key=new_key()), "does not list"),
            "known id, other key": (sign(claims(**BOUND), key=new_key(), kid=found.keys[0].kid), "does not hold"),
            "no key id": (sign(claims(**BOUND), kid=None), "names no key"),
            "an id token": (sign(claims(**BOUND), typ="JWT"), "another type"),
            "no type": (sign(claims(**BOUND), typ=None), "another type"),
            "brings its key's address": (sign(claims(**BOUND), jku=f"{found.url}/jwks"), "rules of its own"),
            "oversized": (good(junk="x" * 5000), "larger"),
            "garbage": ("garbage", "compact JWS"),
            "empty": ("", "compact JWS"),
            "cut off": (good()[:-20], "does not hold"),
            "another claim": (_with_other_claims(good(), claims(**BOUND, sub="court")), "does not hold"),
            "another certificate": (sign(claims(cnf={"x5t#S256": x5t(OTHER)})), "bound to another certificate"),
            "another kind of binding": (sign(claims(cnf={"x5u": "a"})), "not known here"),
            "binding as text": (sign(claims(cnf="x")), "not known here"),
            "unbound": (sign(claims()), "not bound"),
            "bound to a key without proof": (sign(claims(cnf={"jkt": "a" * 43})), "no proof"),
            "another subject": (good(sub="somebody"), "not one principal"),
            "another client": (good(client_id="somebody"), "not one principal"),
            "hidden in the subject": (good(sub="adapter\u200b"), "not one principal"),
            "turned round": (good(sub="\u202eretpada"), "not one principal"),
        }
        for name, (token, why) in cases.items():
            code, reason, detail = await at.refused(token)
            assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REJECTED"), name
            assert why in detail, (name, detail)
        for extra, scheme in (((("authorization", "Bearer a"),), "Bearer"), ((), "Basic"), ((), "")):
            assert (await at.refused(good(), scheme=scheme, extra=extra))[1] == "TOKEN_REJECTED"
        # Nothing of the caller's own words is in the list, and no token.
        assert not any("evil" in item.detail or "eyJ" in repr(item) for item in at.th.rejected.latest())
        await at.call(good())


def _with_other_claims(token: str, claims: dict) -> str:
    head, _, signature = token.split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


async def test_a_proof_holds_for_its_key_token_method_and_moment_once():
    async with world(require_certificate=False) as at:
        key, other = new_key(), new_key()
        now = int(time.time())
        token = at.provider.sign(at.provider.claims(cnf={"jkt": key.thumbprint()}))
        url = RESOURCE + LIST

        async def refused(dpop, token=token):
            code, reason, detail = await at.refused(token, scheme="DPoP", dpop=dpop, raw=at.bare)
            assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REJECTED")
            return detail

        once = proof(key, token, url)
        await at.call(token, scheme="DPoP", dpop=once, raw=at.bare)
        assert "used before" in await refused(once)
        cases = {
            "another key": (proof(other, token, url), "another key"),
            "another method": (proof(key, token, RESOURCE + SUBMIT), "another method"),
            "another gateway": (proof(key, token, "https://evil.example" + LIST), "another method or gateway"),
            "a plain one": (proof(key, token, url.replace("https", "http")), "another method or gateway"),
            "no url": (proof(key, token, "https://["), "another method or gateway"),
            "GET": (proof(key, token, url, htm="GET"), "HTTP method"),
            "another token": (proof(key, "other", url), "another token"),
            "old": (proof(key, token, url, iat=now - 200), "too long ago"),
            "early": (proof(key, token, url, iat=now + 200), "too long ago or in the future"),
            "no jti": (proof(key, token, url, jti=None), "jti"),
            "long jti": (proof(key, token, url, jti="x" * 300), "jti"),
            "of another type": (proof(key, token, url, header={"typ": "JWT"}), "another type"),
            "with its private key": (proof(key, token, url, header={"jwk": key.as_dict(private=True)}), "public key"),
            "without key": (proof(key, token, url, header={"jwk": None}), "public key"),
            "garbage": ("x", "compact JWS"),
        }
        for name, (dpop, why) in cases.items():
            assert why in await refused(dpop), name
        # As a bearer token it is worth nothing, and a certificate-bound one is no use without the certificate.
        assert "no proof" in (await at.refused(token, raw=at.bare))[2]
        bound = at.provider.sign(at.provider.claims(**BOUND))
        assert "another certificate" in (await at.refused(bound, raw=at.bare))[2]
        # Nobody comes through the port without certificates by showing nothing.
        code, told = await refusal(at.bare.unary_unary(LIST)(b"", timeout=20))
        assert (code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CALLER_UNKNOWN")


async def test_unbound_tokens_are_taken_only_where_configured_and_a_token_needs_its_certificate():
    async with world(allow_unbound=True) as at:
        await at.call(at.provider.sign(at.provider.claims()))
        async with channel(OTHER, ROOT, at.th.port) as unregistered:
            code, reason, _ = await at.refused(at.provider.sign(at.provider.claims()), raw=unregistered)
            assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "CALLER_UNKNOWN")


async def test_an_auditor_s_token_reads_the_log_and_nothing_else():
    async with world() as at:
        token = at.provider.sign(at.provider.claims(**BOUND, sub="court", scope="concord.audit concord.submit"))
        assert (await at.refused(token))[1] == "METHOD_NOT_ALLOWED"
        # There is no log behind this listener: whoever gets as far as that was let in.
        _, told = await refusal(at.call(token, path="/concord.v1.AuditService/GetHead"))
        assert told.reason == "INTERNAL"


async def test_an_officer_s_token_decides_within_its_scope_and_is_an_officer_wherever_it_goes():
    approve = "/concord.v1.ApprovalService/ApproveProposal"
    data = pb.ApproveProposalRequest(proposal_id=bytes(16), etag="1", digest=bytes(32)).SerializeToString()
    async with world() as at:
        claims = at.provider.claims
        decides = at.provider.sign(claims(**BOUND, sub="somchai", scope="concord.decide concord.submit"))
        # Nothing is held behind this listener: whoever gets as far as that was let in.
        _, told = await refusal(at.call(decides, path=approve, data=data))
        assert told.reason == "INTERNAL"
        for scope, path in (("concord.read", approve), ("concord.decide", LIST)):
            token = at.provider.sign(claims(**BOUND, sub="somchai", scope=scope))
            assert (await at.refused(token, path=path, data=data if path == approve else b""))[
                1
            ] == "METHOD_NOT_ALLOWED"
        system = at.provider.sign(claims(**BOUND, scope="concord.decide"))
        assert (await at.refused(system, path=approve, data=data))[1] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize(
    "changed",
    [
        {"officer_roles": frozenset()},
        {"officer_id": ""},
        {"officer_id": "Somchai Jaidee"},
        {"authorities": ()},
        {"role": "system"},
        {"role": "auditor", "authorities": ()},
        {"officer_roles": frozenset({"auditor"})},
        {"subject": None, "client_id": "desk-tool"},
    ],
)
def test_a_principal_that_is_half_an_officer_is_refused(changed):
    whole = {
        "name": "somchai", "role": "officer", "subject": "somchai", "authorities": ("th/early-warning",),
        "officer_id": "o-17", "officer_roles": frozenset({"approver"}), "scopes": frozenset({"concord.decide"}),
    }  # fmt: skip
    assert Principal.model_validate(whole).officer_id == "o-17"
    with pytest.raises(ValidationError):
        Principal.model_validate({**whole, **changed})


async def test_keys_rotate_are_asked_for_once_a_minute_and_outlive_their_issuer_for_a_bounded_time():
    async with world(max_stale_s=3600) as at:
        found, old = at.provider, at.provider.keys[0]

        def token(key):
            # Only the keys' clock is shifted.
            return found.sign(found.claims(**BOUND), key=key)

        await at.call(token(old))
        new = new_key()
        found.keys.insert(0, new)
        # Within the minute the new key is not looked for, however often it is shown.
        for _ in range(5):
            assert "does not list" in (await at.refused(token(new)))[2]
        assert found.asked == 1
        at.clock.shift_ms = 61_000
        await asyncio.gather(*(at.call(token(new)) for _ in range(5)))
        assert found.asked == 2
        # What the issuer has withdrawn goes at the next look, which nobody waits for.
        found.keys.remove(old)
        at.clock.shift_ms += 601_000
        await at.call(token(new))
        await until(lambda: found.asked == 3)
        code, reason, detail = await at.refused(token(old))
        assert "does not list" in detail
        # The issuer is away: its keys count on, and then no more.
        found.away = True
        at.clock.shift_ms += 3_000_000
        await at.call(token(new))
        at.clock.shift_ms += 700_000
        code, reason, detail = await at.refused(token(new))
        assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REJECTED")
        assert "too old" in detail
        found.away = False
        at.clock.shift_ms += 61_000
        await at.call(token(new))


async def test_a_stream_ends_with_its_token():
    async with world() as at:
        now = int(time.time())
        token = at.provider.sign(at.provider.claims(**BOUND, exp=now + 2))
        metadata = [("authorization", f"Bearer {token}")]
        stream = at.raw.unary_stream("/concord.v1.ExchangeService/WatchMessages")(b"", metadata=metadata)
        async with asyncio.timeout(30):
            answers = [item async for item in stream]
        assert len(answers) == 1
        assert await stream.code() is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b'{"keys": 1}', b'{"keys": [{"kty": "oct", "k": "YQ", "kid": "1"}]}', b"[" * 100_000, b"\xff"],
)
async def test_keys_in_a_file_that_cannot_be_used_let_nobody_in(tmp_path, text):
    path = tmp_path / "keys.json"
    path.write_bytes(text)
    async with world(jwks_url=None, jwks_file=path) as at:
        assert (await at.refused(at.provider.sign(at.provider.claims(**BOUND))))[1] == "TOKEN_REJECTED"


async def test_keys_in_a_file_serve_where_the_issuer_cannot_be_reached(tmp_path):
    path = tmp_path / "keys.json"
    async with world(jwks_url=None, jwks_file=path) as at:
        keys = [item.as_dict(private=False) for item in at.provider.keys]
        path.write_text(json.dumps({"keys": keys}))
        await at.call(at.provider.sign(at.provider.claims(**BOUND)))
        assert at.provider.asked == 0


def test_one_person_is_not_two_callers_and_a_copied_token_decides_nothing():
    officer = {
        "name": "somchai", "role": "officer", "subject": "somchai", "authorities": ("th/early-warning",),
        "officer_id": "o-17", "officer_roles": frozenset({"approver"}), "scopes": frozenset({"concord.decide"}),
    }  # fmt: skip
    tool = {**officer, "name": "somchai-tool", "client_id": "tool"}
    system = {
        "name": "hotline", "subject": "somchai", "client_id": "hotline", "authorities": ("th/early-warning",),
        "scopes": frozenset({"concord.submit"}),
    }  # fmt: skip
    issuer = {"url": "https://id.th.example", "audience": "concord", "jwks_file": "keys.json"}
    assert Issuer.model_validate({**issuer, "principal": (officer, tool)})
    for changed in (
        {"principal": (officer, {**tool, "officer_id": "o-18"})},
        {"principal": (officer, system)},
        {"principal": (officer,), "allow_unbound": True},
    ):
        with pytest.raises(ValidationError):
            Issuer.model_validate({**issuer, **changed})
