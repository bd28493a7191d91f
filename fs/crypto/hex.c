/* Hexadecimal digits: see hex.h.  Decoding looks nothing up in a table, so that the digits of a private key
 * leave no trace in the cache. */
#include "hex.h"

void hex_encode(const void *bytes, size_t count, char *text)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < count; i++) {
        unsigned high = b[i] >> 4, low = b[i] & 15;
        text[2 * i] = (char)('0' + high + (high > 9) * ('a' - '0' - 10));
        text[2 * i + 1] = (char)('0' + low + (low > 9) * ('a' - '0' - 10));
    }
    text[2 * count] = 0;
}

/* The digit's value, or something above 15. */
static unsigned digit_value(char c)
{
    unsigned decimal = (unsigned)(unsigned char)c - '0', letter = (unsigned)(unsigned char)c - 'a';
    return (decimal < 10) * decimal + (letter < 6) * (letter + 10) + (decimal >= 10 && letter >= 6) * 256u;
}

bool hex_decode(const char *text, size_t length, void *bytes, size_t count)
{
    uint8_t *b = bytes;
    if (length / 2 != count || length % 2 != 0)
        return false;
    unsigned seen = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
        seen |= high | low;
        b[i] = (uint8_t)(high << 4 | low);
    }
    return seen < 16;
}
