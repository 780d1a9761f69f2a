// Package scripts has the shell scripts that need no checkout of segpull's
// repository, only segpull itself, and the one that installs the bench's peers.
// Its Go code is their tests.
//
//	weak-network.sh     compares segpull with curl on the user's own network
//	kill-and-resume.sh  kills a pull repeatedly and shows what it fetches again
//	install-peers.sh    installs the tools that the bench compares with
package scripts
