/* Waits until its standard input ends, so that a test can take its file away. Compiled by tests/files.rs. */
#include <stdio.h>
static int helper(int c) { return c == 'x' ? getchar() : c; }
__attribute__((noinline)) int wait_for_end(void) {
  int c = 0;
  puts("ready");
  fflush(stdout);
  while (c != EOF) c = helper(getchar());
  return c;
}
int main(void) { return wait_for_end() == EOF ? 0 : 1; }
