//go:build !unix

package credentials

import "os/exec"

// killWithChildren does nothing here: the end of the command's context kills
// the command alone, and its WaitDelay ends the wait for its children.
func killWithChildren(*exec.Cmd) {}
