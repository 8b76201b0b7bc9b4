"""What officers approve: whatever can differ about a draft makes another digest."""

from dataclasses import replace

import pytest

from gateway.crypto.release import new_salt, release_digest
from gateway.ids import AuthorityId, MessageId, PartnerId, ThreadId
from gateway.model.header import Mode, Supersedes, Urgency
from gateway.model.message import Draft, Onward, Tlp
from gateway.rpc.convert import WireCodec
from tests.fixtures.officers import referral

DRAFT = replace(referral(WireCodec()), recipients=(PartnerId("th"), PartnerId("la")))
NAMED = {
    "message_id": MessageId(b"m" * 16),
    "thread_id": ThreadId(b"t" * 16),
    "expire_ms": 5,
    "content_commitment": b"c" * 32,
}


def digest(draft: Draft = DRAFT, **changes: object) -> bytes:
    return release_digest(draft, **{**NAMED, **changes})


def handled(**changes: object) -> Draft:
    return replace(DRAFT, body=replace(DRAFT.body, handling=replace(DRAFT.body.handling, **changes)))


def test_it_is_the_same_for_the_same():
    assert digest() == digest(replace(DRAFT))
    assert len(digest()) == 32
    assert new_salt() != new_salt()


@pytest.mark.parametrize(
    "other",
    [
        digest(message_id=MessageId(b"n" * 16)),
        digest(thread_id=ThreadId(b"u" * 16)),
        digest(expire_ms=6),
        digest(content_commitment=b"d" * 32),
        digest(replace(DRAFT, recipients=(PartnerId("th"),))),
        digest(replace(DRAFT, recipients=(PartnerId("la"), PartnerId("th")))),
        digest(replace(DRAFT, mode=Mode.TEST)),
        digest(replace(DRAFT, urgency=Urgency.U0)),
        digest(replace(DRAFT, in_reply_to=MessageId(b"r" * 16))),
        digest(replace(DRAFT, supersedes=Supersedes(message_id=MessageId(b"s" * 16), content_commitment=b"c" * 32))),
        digest(replace(DRAFT, body=replace(DRAFT.body, authority=AuthorityId("cn/public-security")))),
        digest(handled(purpose="victim_protection")),
        digest(handled(tlp=Tlp.RED)),
        digest(handled(onward=Onward.ASK)),
        digest(handled(onward=Onward.LISTED, onward_partners=(PartnerId("vn"),))),
        digest(handled(retain_until_ms=7)),
        digest(handled(review_ms=7)),
    ],
    ids=range(17),
)
def test_whatever_differs_makes_another_one(other):
    assert other != digest()
