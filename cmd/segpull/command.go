package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// help is written by hand, so that defaults, exit codes and examples fit 80
// columns. A test compares it with the flags.
//
//go:embed help.txt
var help string

const seeHelp = "; run 'segpull --help'"

func (a *app) command() *cobra.Command {
	cmd := a.pullCommand("segpull [flags] IMAGE [IMAGE...]", "")
	cmd.Version = buildVersion()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.CompletionOptions.DisableDefaultCmd = true
	completion := a.completionCommand()
	// cobra adds a command "help" if there is none for help, but "help" is an image, as
	// without commands.
	cmd.SetHelpCommand(completion)
	cmd.SetOut(a.stdout)
	cmd.SetErr(a.stderr)
	cmd.SetVersionTemplate("segpull {{.Version}}\n")
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		a.askConfiguredLanguage()
		io.WriteString(cmd.OutOrStdout(), inLanguage(helpOf(cmd)))
	})
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		see := map[string]string{cacheHelp: seeCacheHelp, completionHelp: seeCompletionHelp, inspectHelp: seeInspectHelp, mirrorsHelp: seeMirrorsHelp, serveHelp: seeServeHelp, help: seeHelp}
		return usagef("%v%s", plainly(cmd.Flags(), err), see[helpOf(cmd)])
	})
	cmd.AddCommand(a.pullCommand("pull", alsoAnImage("pull")), a.cacheCommand(), completion, a.inspectCommand(), a.mirrorsCommand(), a.serveCommand())
	defineLanguage(cmd)
	a.completeFlags(cmd)
	return cmd
}

// pullCommand returns a command that pulls images. note ends the error if none is named.
func (a *app) pullCommand(use, note string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use,
		Args: func(_ *cobra.Command, refs []string) error {
			if len(refs) == 0 && len(a.inputs) == 0 {
				return usagef("no image named%s%s", seeHelp, note)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, refs []string) error {
			a.set = cmd.Flags()
			return a.pull(cmd.Context(), refs)
		},
	}
	a.define(cmd.Flags())
	return cmd
}

// alsoAnImage says how to name an image that is called like a command.
func alsoAnImage(command string) string {
	return fmt.Sprintf("; an image that is called %[1]s is written library/%[1]s or %[1]s:latest", command)
}

// helpOf returns the help for a command; verbs share that of the command above them.
func helpOf(cmd *cobra.Command) string {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	switch cmd.Name() {
	case "cache":
		return cacheHelp
	case "completion":
		return completionHelp
	case "inspect":
		return inspectHelp
	case "mirrors":
		return mirrorsHelp
	case "serve":
		return serveHelp
	}
	return help
}

// plainly replaces an error of Go's strconv by what the flag expects, and explains an
// unknown flag.
func plainly(set *pflag.FlagSet, err error) error {
	if absent, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknown(set, absent)
	}
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if _, conversion := errors.AsType[*strconv.NumError](err); !ok || !conversion {
		return err
	}
	expected := "a whole number"
	if invalid.GetFlag().Value.Type() == "bool" {
		expected = "true or false"
	}
	return fmt.Errorf("invalid argument %q for \"--%s\": expected %s", invalid.GetValue(), invalid.GetFlag().Name, expected)
}
