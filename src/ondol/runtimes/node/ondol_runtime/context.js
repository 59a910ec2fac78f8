// The handler's context object: what it says of the function and of the invocation. How an invocation is completed
// through it is not decided here.
'use strict';

// Add the facts to `context`, own and enumerable as on AWS. Throws for a client context that is no JSON.
function describe(context, fields) {
  const variables = process.env;
  const deadline = Number(fields['lambda-runtime-deadline-ms']);
  context.functionVersion = variables.AWS_LAMBDA_FUNCTION_VERSION;
  context.functionName = variables.AWS_LAMBDA_FUNCTION_NAME;
  context.memoryLimitInMB = variables.AWS_LAMBDA_FUNCTION_MEMORY_SIZE;
  context.logGroupName = variables.AWS_LAMBDA_LOG_GROUP_NAME;
  context.logStreamName = variables.AWS_LAMBDA_LOG_STREAM_NAME;
  context.clientContext = parsed(fields['lambda-runtime-client-context'], 'ClientContext');
  context.identity = parsed(fields['lambda-runtime-cognito-identity'], 'CognitoIdentity');
  context.invokedFunctionArn = fields['lambda-runtime-invoked-function-arn'];
  context.awsRequestId = fields['lambda-runtime-aws-request-id'];
  context.tenantId = fields['lambda-runtime-aws-tenant-id'];
  context.getRemainingTimeInMillis = () => deadline - Date.now();
  return context;
}

function parsed(text, name) {
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Cannot parse ${name} as json: ${error}`);
  }
}

module.exports = { describe };
