"""Bytes and wild claims into access tokens, DPoP proofs and key sets: a caller that the token is for, or TokenRejected.

The wild ones are signed by the key that counts: whoever holds an issuer's or a proof's key chooses every claim.
"""

import asyncio
import base64
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey

from gateway.clock import SystemClock
from gateway.errors import TokenRejected
from gateway.ids import AuthorityId, PartnerId
from gateway.issuers import Issuer, Principal
from gateway.rpc.callers import Caller, Presented, SystemAuthenticator
from gateway.rpc.tokens import KeySource, TokenAuthenticator
from gateway.rpc.tokens.keys import parse_keys
from tests.fixtures.token_provider import AUDIENCE, ISSUER, Provider, new_key, proof
from tests.fuzz.changes import FUZZ, WILD, WILD_TEXTS, flips, neighbours, places_of, put, sprinkled, without

RESOURCE = "https://gateway.th.example:7444"
METHOD = "concord.v1.ExchangeService.ListMessages"
TARGET = f"{RESOURCE}/concord.v1.ExchangeService/ListMessages"


@dataclass
class World:
    """A gateway's judge of tokens, and the keys of those who are judged."""

    provider: Provider
    holder: ECKey
    judge: TokenAuthenticator
    loop: asyncio.AbstractEventLoop

    def admit(self, authorization, proofs=()):
        """Return the caller, or None when the token is refused."""
        presented = Presented("ipv4:127.0.0.1:1", b"", (), tuple(authorization), tuple(proofs))
        try:
            return self.loop.run_until_complete(self.judge.admit(presented, METHOD))
        except TokenRejected:
            return None

    def bound(self) -> str:
        return self.provider.sign(self.provider.claims(cnf={"jkt": self.holder.thumbprint()}))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    provider = Provider(folder)
    keys_file = folder / "jwks.json"
    keys_file.write_text(json.dumps({"keys": [key.as_dict(private=False) for key in provider.keys]}))
    principal = Principal(
        name="adapter", subject="adapter", client_id="adapter", authorities=(AuthorityId("th/early-warning"),),
        scopes=frozenset({"concord.submit", "concord.read"}),
    )  # fmt: skip
    issuer = Issuer(
        url=ISSUER, audience=AUDIENCE, resource=RESOURCE, principal=(principal,), jwks_file=keys_file,
        require_certificate=False, allow_unbound=True,
    )  # fmt: skip
    clock = SystemClock()
    source = KeySource(url=None, path=keys_file, ca_file=None, max_stale_s=86_400, clock=clock)
    judge = TokenAuthenticator(
        issuers={ISSUER: (issuer, source)}, default_resource=RESOURCE, clock=clock,
        systems=SystemAuthenticator(own=PartnerId("th"), roots=lambda: (), registered={}, clock=clock),
    )  # fmt: skip
    loop = asyncio.new_event_loop()
    yield World(provider, new_key(), judge, loop)
    loop.close()


def signed(header: object, claims: object, key: ECKey) -> str:
    """Return a compact JWS of any header and claims, made by hand: libraries refuse to write most of them."""

    def part(value: object) -> str:
        # Lone surrogates as escapes, and numbers that JSON does not have, as Python writes and reads them.
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    text = f"{part(header)}.{part(claims)}"
    signature = jws.JWSRegistry.algorithms["ES256"].sign(text.encode(), key)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def token_header(world, **changed):
    return {"alg": "ES256", "typ": "at+jwt", "kid": world.provider.keys[0].kid, **changed}


def proof_parts(world, token):
    """Return header and claims of a proof that is good."""
    text = proof(world.holder, token, TARGET)
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in text.split(".")[:2]]


def test_every_byte_of_a_token(world):
    genuine = world.admit([f"Bearer {world.provider.sign(world.provider.claims())}"])
    assert isinstance(genuine, Caller)
    token = world.provider.sign(world.provider.claims())
    for data in neighbours(f"Bearer {token}".encode()):
        found = world.admit([data.decode("latin-1")])
        # Base64 leaves bits over in a last character: another spelling of the same token, and nothing more.
        assert found is None or (found.principal, found.scopes) == (genuine.principal, genuine.scopes)


def test_every_byte_of_a_proof_and_of_the_token_it_is_for(world):
    token = world.bound()
    genuine = world.admit([f"DPoP {token}"], [proof(world.holder, token, TARGET)])
    assert isinstance(genuine, Caller)
    shown = proof(world.holder, token, TARGET)
    for data in flips(token.encode()):
        world.admit([f"DPoP {data.decode('latin-1')}"], [shown])
    taken = [data for data in neighbours(shown.encode()) if world.admit([f"DPoP {token}"], [data.decode("latin-1")])]
    # Used once, whatever its spelling.
    assert len(taken) <= 1


@FUZZ(max_examples=40)
@given(st.one_of(st.text(max_size=300), st.binary(max_size=300).map(lambda data: data.decode("latin-1"))))
def test_any_text_as_token_and_proof(world, text):
    for scheme in ("", "Bearer ", "DPoP ", "bearer\t"):
        assert world.admit([scheme + text]) is None
        assert world.admit([scheme + text], [text]) is None
    assert world.admit([f"DPoP {world.bound()}"], [text]) is None


@FUZZ(max_examples=120)
@given(data=st.data())
def test_wild_claims_and_headers_of_a_token_that_its_issuer_signed(world, data):
    header, claims = token_header(world), world.provider.claims(cnf={"jkt": "x"}, nbf=0)
    changed = {"header": header, "claims": claims}
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from([path for path in places_of(changed) if len(path) > 1]))
        changed = put(changed, path, data.draw(WILD)) if data.draw(st.integers(0, 9)) else without(changed, path)
        if not isinstance(changed["header"], dict) or not isinstance(changed["claims"], dict):
            break
    token = signed(changed["header"], changed["claims"], world.provider.keys[0])
    world.admit([f"Bearer {token}"])
    # Not for this token: refused after everything else in it was looked at.
    world.admit([f"DPoP {token}"], [proof(world.holder, token, TARGET)])


@FUZZ(max_examples=120)
@given(data=st.data())
def test_wild_proofs_of_the_key_that_the_token_is_bound_to(world, data):
    token = world.bound()
    header, claims = proof_parts(world, token)
    changed = {"header": header, "claims": claims}
    path = data.draw(st.sampled_from([path for path in places_of(changed) if len(path) > 1]))
    changed = put(changed, path, data.draw(WILD)) if data.draw(st.integers(0, 9)) else without(changed, path)
    found = world.admit([f"DPoP {token}"], [signed(changed["header"], changed["claims"], world.holder)])
    assert found is None or path[-1] in {"jti", "iat", "alg", "kid", "use", "typ"}


@pytest.mark.parametrize("claim", ["ath", "htu", "htm", "jti", "iat"])
@pytest.mark.parametrize("value", [*WILD_TEXTS, {}, [], None, 10**400, float("inf")])
def test_each_claim_of_a_proof_with_each_wild_value(world, claim, value):
    token = world.bound()
    header, claims = proof_parts(world, token)
    found = world.admit([f"DPoP {token}"], [signed(header, {**claims, claim: value}, world.holder)])
    assert found is None or (claim == "jti" and isinstance(value, str) and value)


@pytest.mark.parametrize("value", [*WILD_TEXTS, {}, [], None, 10**400, float("inf")])
@pytest.mark.parametrize("name", ["x5t#S256", "jkt"])
def test_each_binding_of_a_token_with_each_wild_value(world, name, value):
    claims = world.provider.claims(cnf={name: value})
    token = signed(token_header(world), claims, world.provider.keys[0])
    assert world.admit([f"Bearer {token}"]) is None
    assert world.admit([f"DPoP {token}"], [proof(world.holder, token, TARGET)]) is None


def keys_taken(data: bytes):
    try:
        return parse_keys(data)
    except TokenRejected:
        return None


def test_every_byte_of_a_key_set(world):
    data = json.dumps({"keys": [key.as_dict(private=False) for key in (*world.provider.keys, new_key())]}).encode()
    assert len(keys_taken(data) or ()) == 2
    for changed in neighbours(data):
        keys_taken(changed)


@FUZZ(max_examples=120)
@given(data=st.data())
def test_wild_key_sets(world, data):
    changed = {"keys": [key.as_dict(private=False) for key in world.provider.keys]}
    path = data.draw(st.sampled_from(list(places_of(changed))))
    changed = put(changed, path, data.draw(WILD))
    keys_taken(json.dumps(changed).encode())
    keys_taken(data.draw(sprinkled(json.dumps(changed).encode())))
