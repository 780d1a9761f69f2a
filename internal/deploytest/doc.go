// Package deploytest adapts the files in deploy to one machine, so that tests and the
// bench run what users copy.
package deploytest
