namespace Glimmer.Kernels;

/// <summary>How keys and values are kept in a cache. They are rounded when they are stored, before anything reads them, so the bits of a token depend on nothing else.</summary>
public enum KeyValueType
{
    /// <summary>As computed: 32 bits.</summary>
    F32,
    /// <summary>Rounded to the nearest bf16: 16 bits.</summary>
    BF16,
    /// <summary>Integers from -127 to 127 with a bf16 scale for each 32 elements of a key or value: 8.5 bits.</summary>
    Int8,
}
