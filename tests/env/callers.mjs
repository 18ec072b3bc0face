// Asks STS who it is with the JavaScript SDK's own default chain, once for each environment
// in the file that is named. Reads {NAME: {VARIABLE: VALUE}}, prints {NAME: ARN, or "error: …"}.
import { readFileSync } from "node:fs";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { fromNodeProviderChain } from "@aws-sdk/credential-providers";

async function who(variables) {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith("AWS_")) delete process.env[name];
  }
  Object.assign(process.env, variables);
  const client = new STSClient({ credentials: fromNodeProviderChain() });
  try {
    return (await client.send(new GetCallerIdentityCommand({}))).Arn;
  } catch (error) {
    return `error: ${error.name}: ${error.message}`;
  }
}

const asked = JSON.parse(readFileSync(process.env.QUESTIONS, "utf8"));
const answers = {};
for (const [name, variables] of Object.entries(asked)) answers[name] = await who(variables);
console.log(JSON.stringify(answers));
