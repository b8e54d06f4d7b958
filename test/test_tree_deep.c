/* test/test_tree_deep.c -- test_tree again, with four keys a node.
 *
 * Splits, joins and balances happen at every other step, six levels deep.  The
 * limit is the tree's own, so the tree is compiled here once more, with it; the
 * library's is not linked, as nothing asks for it.
 * Not here: anything else.
 */
#define TREE_TEST_KEYS_MAX 4

#include "test_tree.c"

#include "fake_pages.c"

#include "../src/tree/node.c"
#include "../src/tree/strip.c"
#include "../src/tree/tree.c"
#include "../src/tree/cursor.c"
#include "../src/tree/check.c"
