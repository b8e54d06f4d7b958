/* test/header_in_cpp.cc -- luge.h included and used by a C++ compiler.
 * It must compile without a warning, and its functions must have C names. */
#include "luge.h"

#include <cstring>

int main()
{
    struct luge_options options = {};
    options.flags = LUGE_MUST_EXIST;
    luge_db *db = nullptr;
    int rc = luge_open("/nonexistent/luge-header-test", &options, &db);
    if (rc != LUGE_NOTFOUND || luge_last_error()->code != rc) return 1;
    luge_bytes key = luge_str("key");
    if (key.size != 3) return 2;
    return std::strcmp(luge_version(), LUGE_VERSION_TEXT) == 0 ? 0 : 3;
}
