package main

import (
	_ "embed"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/segpull/segpull"
	"github.com/segpull/segpull/internal/lang"
	"github.com/segpull/segpull/internal/manual"
)

// completionHelp is written by hand, like help.
//
//go:embed completion.txt
var completionHelp string

const seeCompletionHelp = "; run 'segpull completion --help'"

// completionScripts write the script of a shell.
var completionScripts = map[string]func(program *cobra.Command, w io.Writer) error{
	"bash":       func(program *cobra.Command, w io.Writer) error { return program.GenBashCompletionV2(w, true) },
	"zsh":        (*cobra.Command).GenZshCompletion,
	"fish":       func(program *cobra.Command, w io.Writer) error { return program.GenFishCompletion(w, true) },
	"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
}

func (a *app) completionCommand() *cobra.Command {
	shells := slices.Sorted(maps.Keys(completionScripts))
	return &cobra.Command{
		Use:       "completion",
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || completionScripts[args[0]] == nil {
				return usagef("completion needs one of %s%s%s", strings.Join(shells, ", "), seeCompletionHelp, alsoAnImage("completion"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return completionScripts[args[0]](cmd.Root(), a.stdout)
		},
	}
}

// values are what can follow a flag: words, or without words, files, directories or free
// text, which a shell cannot complete.
type values struct {
	words func(*app) []string
	kind  cobra.ShellCompDirective
}

const (
	files       = cobra.ShellCompDirectiveDefault
	directories = cobra.ShellCompDirectiveFilterDirs
	free        = cobra.ShellCompDirectiveNoFileComp
)

func oneOf(words ...string) values { return values{func(*app) []string { return words }, free} }

// flagValues has the values of each flag that takes one, whatever command has it.
var flagValues = map[string]values{
	"authfile":      {kind: files},
	"cache-dir":     {kind: directories},
	"cache-size":    {kind: free},
	"client-ca":     {kind: files},
	"config":        {kind: files},
	"connections":   {kind: free},
	"format":        oneOf(segpull.Formats()...),
	"give-up-after": {kind: free},
	"older-than":    {kind: free},
	"host":          {kind: free},
	"input":         {kind: files},
	"lang":          oneOf(string(lang.English), string(lang.Chinese)),
	"limit-rate":    {kind: free},
	"listen":        {kind: free},
	"load":          oneOf(segpull.Engines()...),
	"log-format":    oneOf("json", "text"),
	"metrics":       {kind: free},
	"mirror":        {(*app).mirrorNames, free},
	"mirrors-from":  oneOf("config", "containerd", "docker", "containers", "none"),
	"name":          {kind: free},
	"output":        {kind: files},
	"platform":      oneOf("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386", "linux/ppc64le", "linux/riscv64", "linux/s390x", "windows/amd64"),
	"print-config":  oneOf(slices.Sorted(maps.Keys(clientConfigs))...),
	"progress":      oneOf(progressForms...),
	"report":        {kind: files},
	"segment-size":  {kind: free},
	"server":        {kind: free},
	"tag-ttl":       {kind: free},
	"tls-cert":      {kind: files},
	"tls-key":       {kind: files},
	"to":            {kind: free},
	"token-file":    {kind: files},
}

// mirrorNames returns the names that --mirror takes. A configuration that cannot be read has
// none: the next pull says why.
func (a *app) mirrorNames() []string {
	config, _ := a.load()
	return config.Names()
}

// completeFlags prepares the completion of a command and those below it: of arguments, which
// are images unless the command says otherwise, and of flags, which the help describes.
func (a *app) completeFlags(cmd *cobra.Command) {
	if cmd.ValidArgs == nil && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	text, _ := manual.Parse(helpOf(cmd)) // descriptions are a help, and a test reads all texts
	cmd.Short = text.Summary(cmd.CommandPath())
	for _, described := range manual.Flags(helpOf(cmd)) {
		if flag := cmd.Flags().Lookup(described.Name()); flag != nil {
			flag.Usage = described.Summary()
		}
	}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		values, ok := flagValues[flag.Name]
		if !ok {
			return
		}
		complete := func(cmd *cobra.Command, _ []string, _ string) (words []string, _ cobra.ShellCompDirective) {
			a.set = cmd.Flags()
			if values.words != nil {
				words = values.words(a)
			}
			return words, values.kind
		}
		if err := cmd.RegisterFlagCompletionFunc(flag.Name, complete); err != nil {
			panic(err) // the flag exists, and is registered once
		}
	})
	for _, sub := range cmd.Commands() {
		a.completeFlags(sub)
	}
}
