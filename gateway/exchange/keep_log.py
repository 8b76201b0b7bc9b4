"""Keep the log: sign its tree, and never sign two that do not fit together.

A checkpoint is a promise to everybody: the tree that it states only grows. A store that was restored from an older
copy, or run twice, would break it. Two memories tell: the mark in the key store, which a restored store does not bring
back with it, and the partners, who keep the newest checkpoint that they saw of ours. Either stops the signing.
"""


