"""Decides which worker gets a new environment: filter, score, pick. Never talks to the customer's code."""
