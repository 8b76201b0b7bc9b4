"""Concord: a federated gateway on which partner states exchange alerts, case referrals and requests."""
