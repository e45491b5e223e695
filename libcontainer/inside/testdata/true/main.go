// Command true does nothing.
package main

func main() {}
