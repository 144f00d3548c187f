/*
 * main.c: where the `glis` command begins. Everything is done by cli_run, which lies in a library
 * of its own so that tests and generators can call the same code; this file has nothing but main().
 */
#include "cli/command.h"

int main(int n_words, char **words)
{
    return cli_run(n_words, words);
}
