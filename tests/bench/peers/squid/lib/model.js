// The two tables, as classes that typeorm-store writes. `sides.py` makes them; a squid would by its migrations.
const {EntitySchema} = require('typeorm')

class Transfer { constructor(props) { Object.assign(this, props) } }
class Balance { constructor(props) { Object.assign(this, props) } }

const text = {type: 'text'}, height = {type: 'int4'}, rao = {type: 'numeric'}
const id = {type: 'text', primary: true}

module.exports = {
    Transfer,
    Balance,
    TransferSchema: new EntitySchema({
        name: 'Transfer', tableName: 'transfer', target: Transfer,
        columns: {id, block: height, from: text, to: text, amount: rao},
    }),
    BalanceSchema: new EntitySchema({
        name: 'Balance', tableName: 'balance', target: Balance,
        columns: {id, block: height, account: text, free: rao},
    }),
}
