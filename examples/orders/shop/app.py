"""Takes orders: format 2.0 from the HTTP API, format 1.0 from the REST API."""

import json
import os

import boto3
import recipes

queue = boto3.client("sqs")


def handler(event, context):
    if "httpMethod" in event:
        return {"statusCode": 200, "body": json.dumps(recipes.DISHES)}
    if event["requestContext"]["http"]["method"] == "GET":
        return recipes.DISHES
    dish = event["pathParameters"]["dish"]
    if dish not in recipes.DISHES:
        return {"statusCode": 404, "body": f"We have no {dish}."}
    sent = queue.send_message(QueueUrl=os.environ["ORDERS"], MessageBody=dish)
    return {"statusCode": 202, "headers": {"x-order": sent["MessageId"]}, "body": f"{dish} is on its way."}
