-- What tests/integration/functions.py reads: a function as of a block refuses blocks that are not indexed, or says so.

comment on function spec_at(bigint) is
'spec_version of the runtime that executed the block: the one in the state of its parent. The block is not checked.';

comment on function effective_hyperparameter(integer, text, bigint) is
'One parameter as the runtime uses it: as hyperparameter_as_of, but min_childkey_take of a subnet is not below that of the network. The block is not checked.';

comment on function neuron_vector(integer, text, bigint, bigint) is
'A vector of neuron_vectors as of a block, whose element uid + 1 is that of the uid; NULL if there is none. The block is not checked: neurons_at and neuron_vectors_at do that.';
