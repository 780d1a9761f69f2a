package main

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/segpull/segpull/internal/manual"
)

// everyFlag calls f for each flag of each command.
func everyFlag(f func(cmd *cobra.Command, flag *pflag.Flag)) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { f(cmd, flag) })
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit((&app{}).command())
}

func TestCompletionKnowsEveryFlag(t *testing.T) {
	everyFlag(func(cmd *cobra.Command, flag *pflag.Flag) {
		if _, known := flagValues[flag.Name]; !known && flag.Value.Type() != "bool" {
			t.Errorf("flagValues does not say what follows --%s of %s", flag.Name, cmd.CommandPath())
		}
		if cmd.HasParent() && cmd.Short == "" {
			t.Errorf("the help of %s does not say what the command does", cmd.CommandPath())
		}
		if flag.Usage == "" || strings.HasPrefix(flag.Usage, "help for") {
			t.Errorf("the help of %s does not describe --%s", cmd.CommandPath(), flag.Name)
		}
	})
}

// The man page has every flag of every command, between its command's heading and the next.
func TestManPageHasEveryFlag(t *testing.T) {
	var commands []string
	for _, cmd := range (&app{}).command().Commands() {
		if text := helpOf(cmd); text != help {
			commands = append(commands, text)
		}
	}
	page, err := manual.Page("1.2.3", time.Time{}, help, commands)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	for part := range strings.SplitSeq(page, "\n.S") {
		heading, text, _ := strings.Cut(part, "\n")
		sections[strings.TrimSpace(heading[1:])] = text
	}
	for _, heading := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES"} {
		if sections[heading] == "" {
			t.Errorf("no text in the section %s", heading)
		}
	}
	everyFlag(func(cmd *cobra.Command, flag *pflag.Flag) {
		section := "OPTIONS"
		if words := strings.Fields(cmd.CommandPath()); len(words) > 1 && words[1] != "pull" {
			section = words[0] + " " + words[1]
		}
		if !strings.Contains(sections[section], strings.ReplaceAll("--"+flag.Name, "-", `\-`)) {
			t.Errorf("the section %q has no --%s", section, flag.Name)
		}
	})
}
