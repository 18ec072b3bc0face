// Says what profile p is in many pairs of files, with the Go SDK's own default chain. Reads
// {NAME: FOLDER}, prints {NAME: ACCESS KEY ID, or "none"}. Built by tests/run from
// Debian's packages, without modules.
package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

func answer(folder string) string {
	ctx := context.Background()
	settings, err := config.LoadDefaultConfig(ctx,
		config.WithSharedConfigFiles([]string{filepath.Join(folder, "config")}),
		config.WithSharedCredentialsFiles([]string{filepath.Join(folder, "credentials")}),
		config.WithSharedConfigProfile("p"),
		config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	if err != nil {
		return "none"
	}
	found, err := settings.Credentials.Retrieve(ctx)
	if err != nil {
		return "none"
	}
	return found.AccessKeyID
}

func main() {
	folders := map[string]string{}
	if err := json.NewDecoder(os.Stdin).Decode(&folders); err != nil {
		panic(err)
	}
	answers := map[string]string{}
	for name, folder := range folders {
		answers[name] = answer(folder)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		panic(err)
	}
}
