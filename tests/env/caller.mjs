// Asks STS who it is with the JavaScript SDK's own default chain, as a user's program would.
// Prints the ARN.
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { fromNodeProviderChain } from "@aws-sdk/credential-providers";

const client = new STSClient({ credentials: fromNodeProviderChain() });
try {
  const who = await client.send(new GetCallerIdentityCommand({}));
  console.log(who.Arn);
} catch (error) {
  console.error(`${error.name}: ${error.message}`);
  process.exitCode = 1;
}
