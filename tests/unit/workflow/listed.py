"""What the tables of cases must say, written down a second time.

A line is a state and what may happen in it: `event>state`. After `~` come acts of the partner that are too late to
change anything. `CAUSES`: who may bring an event about; o our officers, s our system, p the partner, c the clock.
"""

REFERRAL_SENDER = """
draft: edit>draft submit>submitted withdraw>withdrawn
submitted: approve>approved reject>rejected return>draft edit>draft withdraw>withdrawn
approved: send>sent edit>draft withdraw>withdrawn
rejected:
sent: receive>received acknowledge>acknowledged fail>undelivered withdraw>withdrawn
undelivered: receive>received acknowledge>acknowledged withdraw>withdrawn
received: acknowledge>acknowledged withdraw>withdrawn
acknowledged: accept>accepted decline>declined redirect>redirected withdraw>withdrawn ~ receive
accepted: start>in_progress withdraw>withdrawn ~ receive
declined: ~ receive
redirected: ~ receive
in_progress: ask>info_needed resolve>resolved withdraw>withdrawn ~ receive
info_needed: inform>in_progress resolve>resolved withdraw>withdrawn ~ receive
resolved: confirm>closed silence>closed reopen>reopened ~ receive
closed: reopen>reopened ~ receive
reopened: start>in_progress decline>declined withdraw>withdrawn ~ receive
withdrawn: decline>declined redirect>redirected resolve>resolved ~ receive acknowledge accept start ask
"""
REFERRAL_SENDER_CAUSES = """
o: submit edit return approve reject inform confirm reopen withdraw
s: send fail
c: fail silence withdraw
p: receive acknowledge accept decline redirect start ask resolve
"""
REFERRAL_RECEIVER = """
received: acknowledge>acknowledged withdraw>withdrawn
acknowledged: accept>accepted decline>declined redirect>redirected withdraw>withdrawn
accepted: start>in_progress withdraw>withdrawn
declined: ~ withdraw
redirected: ~ withdraw
in_progress: ask>info_needed resolve>resolved withdraw>withdrawn
info_needed: inform>in_progress resolve>resolved withdraw>withdrawn
resolved: confirm>closed silence>closed reopen>reopened ~ inform withdraw
closed: reopen>reopened ~ inform withdraw confirm
reopened: start>in_progress decline>declined withdraw>withdrawn
withdrawn:
"""
REFERRAL_RECEIVER_CAUSES = """
o: acknowledge accept decline redirect start ask resolve
c: silence
p: inform confirm reopen withdraw
"""

STAGE_SENDER = """
draft: edit>draft submit>submitted
submitted: approve>sender_approved reject>sender_rejected return>draft edit>draft
sender_approved: send>transmitted edit>draft
sender_rejected:
transmitted: receive>received acknowledge>acknowledged fail>undelivered
undelivered: receive>received acknowledge>acknowledged
received: acknowledge>acknowledged
acknowledged: examine>under_review ~ receive
under_review: close>closed ~ receive
closed: ~ receive
"""
STAGE_SENDER_CAUSES = """
o: edit submit return approve reject close
s: send fail
c: fail
p: receive acknowledge examine
"""
STAGE_RECEIVER = """
received: acknowledge>acknowledged
acknowledged: examine>under_review
under_review: close>closed
closed:
"""
STAGE_RECEIVER_CAUSES = """
o: acknowledge examine
p: close
"""

_APPROVALS = "approve>approved approve_with_conditions>approved_with_conditions"
DECISION_SENDER = f"""
under_review: ask>clarification_needed {_APPROVALS} consult>consultation postpone>postponed withdraw>withdrawn
clarification_needed: clarify>under_review consult>consultation withdraw>withdrawn
consultation: reply>consulted waited>consulted {_APPROVALS} withdraw>withdrawn
consulted: {_APPROVALS} refuse>refused withdraw>withdrawn ~ waited
postponed: resume>under_review withdraw>withdrawn
approved: execute>executing withdraw>withdrawn
approved_with_conditions: accept_conditions>conditions_accepted withdraw>withdrawn
conditions_accepted: execute>executing withdraw>withdrawn
refused:
"""
DECISION_RECEIVER = f"""
under_review: ask>clarification_needed {_APPROVALS} consult>consultation postpone>postponed withdraw>withdrawn
clarification_needed: clarify>under_review consult>consultation withdraw>withdrawn
consultation: reply>consulted waited>consulted {_APPROVALS} withdraw>withdrawn ~ clarify
consulted: {_APPROVALS} refuse>refused withdraw>withdrawn ~ clarify reply
postponed: resume>under_review withdraw>withdrawn
approved: execute>executing withdraw>withdrawn ~ clarify reply
approved_with_conditions: accept_conditions>conditions_accepted withdraw>withdrawn ~ clarify reply
conditions_accepted: execute>executing withdraw>withdrawn
refused: withdraw>withdrawn ~ clarify reply
"""
_LATE = "ask consult waited postpone resume approve approve_with_conditions refuse execute"
ANSWER_SENDER = f"""{DECISION_SENDER}
executing: part>partly_answered answer>answered withdraw>withdrawn
partly_answered: part>partly_answered answer>answered withdraw>withdrawn
answered:
withdrawn: answer>answered ~ {_LATE} part
"""
ANSWER_RECEIVER = f"""{DECISION_RECEIVER}
executing: part>partly_answered answer>answered withdraw>withdrawn ~ clarify reply
partly_answered: part>partly_answered answer>answered withdraw>withdrawn ~ clarify reply
answered: ~ clarify reply withdraw
withdrawn:
"""
_KEPT = "extend>extended release>released lapse>lapsed"
PRESERVE_SENDER = f"""{DECISION_SENDER}
executing: preserve>preserved withdraw>withdrawn
preserved: {_KEPT}
extended: {_KEPT}
released: lapse>lapsed ~ extend release
lapsed:
withdrawn: preserve>released ~ {_LATE}
"""
PRESERVE_RECEIVER = f"""{DECISION_RECEIVER}
executing: preserve>preserved withdraw>withdrawn ~ clarify reply
preserved: {_KEPT} withdraw>released ~ clarify reply
extended: {_KEPT} withdraw>released ~ clarify reply
released: ~ clarify reply release withdraw
lapsed: ~ clarify reply release withdraw
withdrawn:
"""
MEASURE_SENDER_CAUSES = """
o: clarify reply accept_conditions withdraw release
c: withdraw release
p: ask consult waited postpone resume approve approve_with_conditions refuse execute part answer preserve extend lapse
p: release
"""
MEASURE_RECEIVER_CAUSES = """
o: ask consult postpone resume approve approve_with_conditions refuse execute part answer preserve extend release
c: waited resume lapse
p: clarify reply accept_conditions withdraw release
"""

OWNER = """
draft: open>open withdraw>withdrawn
open: suspend>suspended close>closed
suspended: resume>open close>closed
closed:
withdrawn:
"""
OWNER_CAUSES = "o: open suspend resume close withdraw"
FOLLOWER = """
open: suspend>suspended close>closed
suspended: resume>open close>closed
closed:
"""
FOLLOWER_CAUSES = "p: suspend resume close"
MEMBER_AT_OWNER = """
none: invite>invited apply>applied
invited: join>joined decline>declined remove>removed ~ apply
applied: admit>joined refuse>refused decline>declined
joined: leave>leaving remove>removed decline>declined
leaving: release>left silence>left remove>removed
declined:
refused: decline>declined
left:
removed: ~ apply join decline leave
"""
MEMBER_AT_OWNER_CAUSES = """
o: invite admit refuse release remove
p: apply join decline leave
c: silence
"""
MEMBER_AT_MEMBER = """
none: invite>invited apply>applied
invited: join>joined decline>declined remove>removed
applied: admit>joined refuse>refused decline>declined invite>invited
joined: leave>leaving remove>removed
leaving: release>left silence>left remove>removed
declined: remove>removed ~ invite admit refuse
refused:
left: remove>removed ~ release
removed:
"""
MEMBER_AT_MEMBER_CAUSES = """
o: apply join decline leave
p: invite admit refuse release remove
c: silence
"""

RECALL = """
asked: pass_on>passed_on confirm>confirmed refuse>refused
passed_on: confirm>confirmed refuse>refused
refused: pass_on>passed_on confirm>confirmed
confirmed:
"""
CONVERSION = """
proposed: consent>consented edit>proposed refuse>refused withdraw>withdrawn
consented: approve>approved revoke>proposed edit>proposed refuse>refused withdraw>withdrawn
approved: convert>converted revoke>proposed edit>proposed refuse>refused withdraw>withdrawn
converted:
refused:
withdrawn:
"""
CONVERSION_CAUSES = """
o: consent revoke edit approve refuse withdraw
p: consent revoke
s: convert
"""
APPROVAL = """
draft: edit>draft propose>proposed send_alone>sent_alone break_glass>review_due withdraw>withdrawn lapse>lapsed
proposed: approve>approved refuse>refused withdraw>withdrawn edit>voided lapse>lapsed
sent_alone: approve>approved refuse>refused withdraw>withdrawn lapse>lapsed
review_due: uphold>upheld fault>faulted
approved:
refused:
withdrawn:
voided:
lapsed:
upheld:
faulted:
"""
APPROVAL_CAUSES = """
o: edit propose send_alone break_glass approve refuse withdraw uphold fault
c: lapse
"""
