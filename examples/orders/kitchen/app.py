"""Cooks what was ordered."""

import os

import recipes


def handler(event, context):
    for record in event["Records"]:
        dish = record["body"]
        print(f"cooking {dish} {os.environ['KITCHEN']}: {recipes.DISHES[dish]}")
