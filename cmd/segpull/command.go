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
	cmd := &cobra.Command{
		Use:           "segpull [flags] IMAGE [IMAGE...]",
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, refs []string) error {
			if len(refs) == 0 {
				return usagef("no image named%s", seeHelp)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, refs []string) error {
			return a.pull(cmd.Context(), refs)
		},
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetOut(a.stdout)
	cmd.SetErr(a.stderr)
	cmd.SetVersionTemplate("segpull {{.Version}}\n")
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { io.WriteString(cmd.OutOrStdout(), help) })
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usagef("%v%s", plainly(err), seeHelp)
	})
	a.define(cmd.Flags())
	return cmd
}

// plainly replaces an error of Go's strconv by what the flag expects.
func plainly(err error) error {
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
