//go:build race

package testmain

const mostAtOnce = 10
